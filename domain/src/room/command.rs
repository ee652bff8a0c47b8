//! What can be asked of a room.

use crate::{
    MemberId, MessageId, RoomId, Timestamp,
    text::{MessageBody, RoomName},
};

/// A command to one room.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomCommand {
    /// Open a group room; the creator is in it, as its owner.
    CreateGroup {
        /// Its id, issued by the caller.
        room_id: RoomId,
        /// What it is called.
        name: RoomName,
        /// Who opens it.
        creator: MemberId,
        /// When.
        at: Timestamp,
    },
    /// Open the direct room of two members, unless it is open.
    OpenDirect {
        /// Its id, [`RoomId::direct`] of the two.
        room_id: RoomId,
        /// Who opens it.
        opener: MemberId,
        /// The other one.
        other: MemberId,
        /// When.
        at: Timestamp,
    },
    /// Come in.
    Join {
        /// Who.
        member_id: MemberId,
        /// When.
        at: Timestamp,
    },
    /// Bring somebody in.
    AddMember {
        /// Who brings.
        by: MemberId,
        /// Who comes; the caller has checked that the account exists.
        member_id: MemberId,
        /// When.
        at: Timestamp,
    },
    /// Go.
    Leave {
        /// Who.
        member_id: MemberId,
        /// When.
        at: Timestamp,
    },
    /// Put somebody out.
    RemoveMember {
        /// Who decides it.
        by: MemberId,
        /// Who goes.
        member_id: MemberId,
        /// When.
        at: Timestamp,
    },
    /// Say something.
    SendMessage {
        /// Its id, issued by the caller.
        message_id: MessageId,
        /// Who says it.
        sender_id: MemberId,
        /// What is said.
        body: MessageBody,
        /// When; imported messages keep their own time.
        sent_at: Timestamp,
    },
    /// Say it otherwise.
    EditMessage {
        /// Which message.
        original: MessageRef,
        /// Who edits.
        by: MemberId,
        /// What it says now.
        body: MessageBody,
        /// When.
        at: Timestamp,
    },
    /// Take it back.
    DeleteMessage {
        /// Which message.
        original: MessageRef,
        /// Who deletes.
        by: MemberId,
        /// When.
        at: Timestamp,
    },
}

/// The unchanging facts of a message that was sent, as the caller found them in the log. The room does not remember
/// every sender: a room of a million messages must still fit in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef {
    /// Its number in the room.
    pub seq: u64,
    /// Its id.
    pub message_id: MessageId,
    /// Who sent it.
    pub sender_id: MemberId,
}
