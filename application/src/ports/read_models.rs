//! Reading the projections.

use crate::views::{MemberView, MessageView, MyRoomView, RoomMemberView, RoomView, UnreadView};
use async_trait::async_trait;
use verbatim_domain::{MemberId, RoomId};

/// A read model could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The cursor is none that this list gave out.
    #[error("the cursor is not one of this list")]
    BadCursor,
    /// The database behind it failed or took too long.
    #[error("the read model is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one starts; `None` on the last. Opaque to clients.
    pub next: Option<String>,
}

/// Which part of a room's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The newest messages.
    Newest,
    /// The messages just before this number.
    Before(u64),
    /// The messages just after this number.
    After(u64),
}

/// Message history.
#[async_trait]
pub trait HistoryReader: Send + Sync + 'static {
    /// Up to `limit` messages of a room, oldest first, deleted ones included (without body).
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn messages(&self, room: RoomId, range: Range, limit: usize)
    -> Result<Vec<MessageView>, ReadError>;

    /// One message.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn message(&self, room: RoomId, seq: u64) -> Result<Option<MessageView>, ReadError>;
}

/// Rooms and who is in them.
#[async_trait]
pub trait RoomReader: Send + Sync + 'static {
    /// One room.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn room(&self, room: RoomId) -> Result<Option<RoomView>, ReadError>;

    /// Open group rooms, newest first.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn discover(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RoomView>, ReadError>;

    /// Members of a room, longest-standing first.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn members(
        &self,
        room: RoomId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RoomMemberView>, ReadError>;

    /// A member's rooms, latest activity first, with the last message of each (its `unread` is filled in by the
    /// caller, from [`UnreadReader`]).
    ///
    /// # Errors
    /// [`ReadError`]
    async fn rooms_of(
        &self,
        member: MemberId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MyRoomView>, ReadError>;
}

/// The directory of members.
#[async_trait]
pub trait MemberReader: Send + Sync + 'static {
    /// Members whose display name contains `query` (case-insensitively; all for an empty one), by name.
    ///
    /// # Errors
    /// [`ReadError`]
    async fn search(
        &self,
        query: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MemberView>, ReadError>;

    /// One member.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn member(&self, member: MemberId) -> Result<Option<MemberView>, ReadError>;
}

/// All unread counts of one member, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct UnreadSnapshot {
    /// Log position that the counts include.
    pub position: u64,
    /// One entry for each room the member is in.
    pub rooms: Vec<UnreadView>,
}

/// Unread counts: last seq − read seq − deleted messages after read seq.
#[async_trait]
pub trait UnreadReader: Send + Sync + 'static {
    /// The counts of one member in these rooms (rooms the member is not in are left out).
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError>;

    /// The counts of one member in all rooms the member is in.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError>;
}

/// How far the projections are, for reads that must see a write.
#[async_trait]
pub trait Positions: Send + Sync + 'static {
    /// Waits until every live projection has applied `position`; `false` when it did not come so far in time.
    async fn wait_for(&self, position: u64, limit: std::time::Duration) -> bool;
}
