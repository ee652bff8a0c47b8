//! The use cases that only read. Each checks that the caller may.

use crate::{
    AppError, ErrorClass,
    app::App,
    ports::{Page, Range, ReadError},
    views::{MemberView, MessageView, MyRoomView, RoomMemberView, RoomView, UnreadView},
};
use std::{collections::HashMap, time::Duration};
use verbatim_domain::{MemberId, RoomId};

/// Most items of one page.
pub const PAGE_MAX: usize = 200;
/// Items of one page unless asked otherwise.
pub const PAGE_DEFAULT: usize = 50;
/// How long a read waits for the projections to come as far as it asks for.
pub const POSITION_LIMIT: Duration = Duration::from_secs(5);

impl From<ReadError> for AppError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::BadCursor => Self::field("cursor", "is not one that this list gave out"),
            ReadError::Unavailable(source) => {
                Self::unavailable("this can't be read now; what was sent is safe", source)
            }
        }
    }
}

impl App {
    /// Waits until a read sees everything up to `position`.
    ///
    /// # Errors
    /// `projection_behind` after [`POSITION_LIMIT`].
    pub async fn see(&self, position: Option<u64>) -> Result<(), AppError> {
        match position {
            Some(position) if !self.positions.wait_for(position, POSITION_LIMIT).await => Err(AppError::new(
                ErrorClass::Unavailable,
                "projection_behind",
                "the read models have not come as far as min_position yet",
            )),
            _ => Ok(()),
        }
    }

    /// A room's messages.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`.
    pub async fn messages(
        &self,
        caller: MemberId,
        room: RoomId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<MessageView>, AppError> {
        self.admit(caller, room).await?;
        Ok(self.history.messages(room, range, limit.clamp(1, PAGE_MAX)).await?)
    }

    /// Group rooms to discover.
    ///
    /// # Errors
    /// A bad cursor.
    pub async fn discover_rooms(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RoomView>, AppError> {
        Ok(self.rooms.discover(cursor, limit.clamp(1, PAGE_MAX)).await?)
    }

    /// Who is in a room.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`.
    pub async fn room_members(
        &self,
        caller: MemberId,
        room: RoomId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RoomMemberView>, AppError> {
        self.admit(caller, room).await?;
        Ok(self.rooms.members(room, cursor, limit.clamp(1, PAGE_MAX)).await?)
    }

    /// The caller's rooms, latest activity first, with unread counts. Direct rooms are named after the other member by
    /// the client, who sees `kind`.
    ///
    /// # Errors
    /// A bad cursor.
    pub async fn my_rooms(
        &self,
        caller: MemberId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MyRoomView>, AppError> {
        let mut page = self.rooms.rooms_of(caller, cursor, limit.clamp(1, PAGE_MAX)).await?;
        let rooms: Vec<RoomId> = page.items.iter().map(|item| item.room.room_id).collect();
        let counts: HashMap<RoomId, UnreadView> = self
            .unread
            .unread_in(caller, &rooms)
            .await?
            .into_iter()
            .map(|view| (view.room_id, view))
            .collect();
        for item in &mut page.items {
            if let Some(view) = counts.get(&item.room.room_id) {
                item.unread = view.unread;
                item.read_seq = view.read_seq;
            }
        }
        Ok(page)
    }

    /// The directory.
    ///
    /// # Errors
    /// A bad cursor.
    pub async fn find_members(
        &self,
        query: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MemberView>, AppError> {
        Ok(self.members.search(query, cursor, limit.clamp(1, PAGE_MAX)).await?)
    }
}
