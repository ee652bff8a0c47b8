//! The **Room** aggregate: who is in it, in which role, and the numbering of its messages.

mod command;
mod decide;
mod event;
mod seq_set;

pub use command::{MessageRef, RoomCommand};
pub use event::RoomEvent;
pub use seq_set::SeqSet;

use crate::{Decider, ErrorKind, MemberId, Rejection, RoomId, Timestamp, decider::cqrs_shim, text::RoomName};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Most members a group room can have. It bounds the aggregate in memory (about 64 bytes a member).
pub const ROOM_MEMBERS_MAX: usize = 100_000;

/// Whether a room is open to many or belongs to two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Anybody may find it and join.
    Group,
    /// Two members, always the same; nobody joins or leaves.
    Direct,
}

/// What a member may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomRole {
    /// May put others out.
    Owner,
    /// May read, send and bring others in.
    Member,
}

/// Why a room command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// No such room.
    #[error("there is no such room")]
    NotFound,
    /// The id is in use.
    #[error("this room exists already")]
    AlreadyExists,
    /// The last member left; it stays shut.
    #[error("the room is closed")]
    Closed,
    /// Only those inside may do this.
    #[error("only members of the room may do this")]
    NotAMember,
    /// Only an owner may do this.
    #[error("only an owner of the room may do this")]
    NotAnOwner,
    /// A direct room keeps its two members.
    #[error("the members of a direct room do not change")]
    DirectRoomIsFixed,
    /// It takes two.
    #[error("a direct room needs another member than oneself")]
    DirectRoomWithOneself,
    /// No room for more.
    #[error("the room has {ROOM_MEMBERS_MAX} members, which is the most it can have")]
    Full,
    /// The room has no message of that number.
    #[error("there is no such message")]
    MessageNotFound,
    /// Edit and delete are for one's own messages.
    #[error("only its sender may change a message")]
    NotTheSender,
    /// It was taken back.
    #[error("the message is deleted")]
    MessageDeleted,
}

impl Rejection for RoomError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "room_not_found",
            Self::AlreadyExists => "room_exists",
            Self::Closed => "room_closed",
            Self::NotAMember => "not_a_member",
            Self::NotAnOwner => "not_an_owner",
            Self::DirectRoomIsFixed => "direct_room_is_fixed",
            Self::DirectRoomWithOneself => "direct_room_with_oneself",
            Self::Full => "room_full",
            Self::MessageNotFound => "message_not_found",
            Self::NotTheSender => "not_the_sender",
            Self::MessageDeleted => "message_deleted",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound | Self::MessageNotFound => ErrorKind::NotFound,
            Self::AlreadyExists => ErrorKind::Conflict,
            Self::NotAMember | Self::NotAnOwner | Self::NotTheSender => ErrorKind::Forbidden,
            Self::Closed
            | Self::DirectRoomIsFixed
            | Self::DirectRoomWithOneself
            | Self::Full
            | Self::MessageDeleted => ErrorKind::Rejected,
        }
    }
}

/// One member's place in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// What the member may do.
    pub role: RoomRole,
    /// The how-manieth to come in: the smallest is the longest-standing.
    pub order: u64,
}

/// One room.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    opened: Option<Opened>,
    members: HashMap<MemberId, Membership>,
    arrivals: u64,
    last_seq: u64,
    deleted: SeqSet,
    closed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Opened {
    room_id: RoomId,
    kind: RoomKind,
    name: Option<RoomName>,
    at: Timestamp,
}

impl Room {
    /// Its kind, unless the stream is empty.
    #[must_use]
    pub fn kind(&self) -> Option<RoomKind> {
        self.opened.as_ref().map(|o| o.kind)
    }

    /// Its name; direct rooms have none.
    #[must_use]
    pub fn name(&self) -> Option<&RoomName> {
        self.opened.as_ref().and_then(|o| o.name.as_ref())
    }

    /// When it was opened, unless the stream is empty.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        self.opened.as_ref().map(|o| o.at)
    }

    /// Number of its last message, 0 for none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Which messages were deleted.
    #[must_use]
    pub fn deleted(&self) -> &SeqSet {
        &self.deleted
    }

    /// Whether it is shut for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Who is in it.
    #[must_use]
    pub fn members(&self) -> &HashMap<MemberId, Membership> {
        &self.members
    }

    /// Whether `member` is in it.
    #[must_use]
    pub fn has(&self, member: MemberId) -> bool {
        self.members.contains_key(&member)
    }

    /// Checks that the room exists and `member` may read it.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] or [`RoomError::NotAMember`].
    pub fn admit(&self, member: MemberId) -> Result<(), RoomError> {
        match (&self.opened, self.has(member)) {
            (None, _) => Err(RoomError::NotFound),
            (Some(_), false) => Err(RoomError::NotAMember),
            (Some(_), true) => Ok(()),
        }
    }

    fn enter(&mut self, member: MemberId, role: RoomRole) {
        self.arrivals += 1;
        self.members.insert(member, Membership { role, order: self.arrivals });
    }
}

impl Decider for Room {
    fn decide(&self, command: &RoomCommand) -> Result<Vec<RoomEvent>, RoomError> {
        decide::decide(self, command)
    }

    fn evolve(&mut self, event: &RoomEvent) {
        use RoomEvent as E;
        match event {
            E::GroupRoomCreated { room_id, name, creator, at } => {
                let name = Some(name.clone());
                self.opened = Some(Opened { room_id: *room_id, kind: RoomKind::Group, name, at: *at });
                self.enter(*creator, RoomRole::Owner);
            }
            E::DirectRoomOpened { room_id, members, at } => {
                self.opened = Some(Opened { room_id: *room_id, kind: RoomKind::Direct, name: None, at: *at });
                for member in members {
                    self.enter(*member, RoomRole::Member);
                }
            }
            E::MemberJoined { member_id, .. } => self.enter(*member_id, RoomRole::Member),
            E::MemberLeft { member_id, .. } => {
                self.members.remove(member_id);
            }
            E::RoomRoleChanged { member_id, role, .. } => {
                if let Some(membership) = self.members.get_mut(member_id) {
                    membership.role = *role;
                }
            }
            E::RoomClosed { .. } => self.closed = true,
            E::MessageSent { seq, .. } => self.last_seq = *seq,
            E::MessageEdited { .. } => {}
            E::MessageDeleted { seq, .. } => {
                self.deleted.insert(*seq);
            }
        }
    }
}

cqrs_shim!(Room, "room", RoomCommand, RoomEvent, RoomError);
