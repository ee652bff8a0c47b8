//! What can happen in a room.

use super::RoomRole;
use crate::{
    MemberId, MessageId, RoomId, Timestamp,
    text::{MessageBody, RoomName},
};
use serde::{Deserialize, Serialize};

/// An event of one room. Stored forever: change a shape only by a new version and an upcaster.
///
/// Every event that takes no number itself carries `at_seq`, the room's last message number at that time. Readers need
/// it (a member who joins starts there), and it lets a message be found in its stream by binary search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RoomEvent {
    /// A group room is open, with its creator in it as owner.
    GroupRoomCreated {
        /// Its id.
        room_id: RoomId,
        /// What it is called.
        name: RoomName,
        /// Who opened it.
        creator: MemberId,
        /// When.
        at: Timestamp,
    },
    /// The direct room of two members is open, with both in it.
    DirectRoomOpened {
        /// Its id.
        room_id: RoomId,
        /// Who opened it, then the other.
        members: [MemberId; 2],
        /// When.
        at: Timestamp,
    },
    /// Somebody came in.
    MemberJoined {
        /// The room.
        room_id: RoomId,
        /// Who.
        member_id: MemberId,
        /// Who brought them in, unless they came by themselves.
        added_by: Option<MemberId>,
        /// The room's last message then.
        at_seq: u64,
        /// When.
        at: Timestamp,
    },
    /// Somebody went.
    MemberLeft {
        /// The room.
        room_id: RoomId,
        /// Who.
        member_id: MemberId,
        /// Who put them out, unless they went by themselves.
        removed_by: Option<MemberId>,
        /// The room's last message then.
        at_seq: u64,
        /// When.
        at: Timestamp,
    },
    /// A member's role in the room is another.
    RoomRoleChanged {
        /// The room.
        room_id: RoomId,
        /// Whose.
        member_id: MemberId,
        /// The new role.
        role: RoomRole,
        /// The room's last message then.
        at_seq: u64,
        /// When.
        at: Timestamp,
    },
    /// Nobody is left; the room is shut for good.
    RoomClosed {
        /// The room.
        room_id: RoomId,
        /// The room's last message.
        at_seq: u64,
        /// When.
        at: Timestamp,
    },
    /// Something was said.
    MessageSent {
        /// The room.
        room_id: RoomId,
        /// The message's id.
        message_id: MessageId,
        /// The message's number: 1, 2, 3 … without gaps.
        seq: u64,
        /// Who said it.
        sender_id: MemberId,
        /// What was said.
        body: MessageBody,
        /// When.
        sent_at: Timestamp,
    },
    /// A message says something else now.
    MessageEdited {
        /// The room.
        room_id: RoomId,
        /// The message's id.
        message_id: MessageId,
        /// The message's number.
        seq: u64,
        /// Who edited it.
        edited_by: MemberId,
        /// What it says now.
        body: MessageBody,
        /// The room's last message then.
        at_seq: u64,
        /// When.
        edited_at: Timestamp,
    },
    /// A message was taken back.
    MessageDeleted {
        /// The room.
        room_id: RoomId,
        /// The message's id.
        message_id: MessageId,
        /// The message's number.
        seq: u64,
        /// Who deleted it.
        deleted_by: MemberId,
        /// The room's last message then.
        at_seq: u64,
        /// When.
        deleted_at: Timestamp,
    },
}

impl RoomEvent {
    /// The event's stable name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::GroupRoomCreated { .. } => "GroupRoomCreated",
            Self::DirectRoomOpened { .. } => "DirectRoomOpened",
            Self::MemberJoined { .. } => "MemberJoined",
            Self::MemberLeft { .. } => "MemberLeft",
            Self::RoomRoleChanged { .. } => "RoomRoleChanged",
            Self::RoomClosed { .. } => "RoomClosed",
            Self::MessageSent { .. } => "MessageSent",
            Self::MessageEdited { .. } => "MessageEdited",
            Self::MessageDeleted { .. } => "MessageDeleted",
        }
    }

    /// The version of its payload's shape.
    #[must_use]
    pub fn version(&self) -> &'static str {
        "1"
    }

    /// The room it happened in.
    #[must_use]
    pub fn room_id(&self) -> RoomId {
        match self {
            Self::GroupRoomCreated { room_id, .. }
            | Self::DirectRoomOpened { room_id, .. }
            | Self::MemberJoined { room_id, .. }
            | Self::MemberLeft { room_id, .. }
            | Self::RoomRoleChanged { room_id, .. }
            | Self::RoomClosed { room_id, .. }
            | Self::MessageSent { room_id, .. }
            | Self::MessageEdited { room_id, .. }
            | Self::MessageDeleted { room_id, .. } => *room_id,
        }
    }

    /// The room's last message number once this has happened.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        match self {
            Self::GroupRoomCreated { .. } | Self::DirectRoomOpened { .. } => 0,
            Self::MemberJoined { at_seq, .. }
            | Self::MemberLeft { at_seq, .. }
            | Self::RoomRoleChanged { at_seq, .. }
            | Self::RoomClosed { at_seq, .. }
            | Self::MessageEdited { at_seq, .. }
            | Self::MessageDeleted { at_seq, .. } => *at_seq,
            Self::MessageSent { seq, .. } => *seq,
        }
    }
}
