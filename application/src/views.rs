//! What the read side shows. The field names are those of the REST and STOMP bodies.

use serde::{Deserialize, Serialize};
use verbatim_domain::{
    MemberId, MessageId, RoomId, Timestamp,
    member::MemberRole,
    room::{RoomKind, RoomRole},
};

/// A message as history shows it and as it is pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    /// Its id.
    pub message_id: MessageId,
    /// Its room.
    pub room_id: RoomId,
    /// Its number in the room, from 1 without gaps.
    pub seq: u64,
    /// Who sent it.
    pub sender_id: MemberId,
    /// What the sender is called now.
    pub sender_name: String,
    /// What it says; empty once deleted.
    pub body: String,
    /// When it was sent.
    #[serde(with = "crate::rfc3339")]
    pub sent_at: Timestamp,
    /// When it was last edited, if ever.
    #[serde(with = "crate::rfc3339::optional")]
    pub edited_at: Option<Timestamp>,
    /// Whether it was taken back.
    pub deleted: bool,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomView {
    /// Its id.
    pub room_id: RoomId,
    /// Group or direct.
    pub kind: RoomKind,
    /// Its name; `None` for direct rooms, which clients show under the other member's name.
    pub name: Option<String>,
    /// How many are in it.
    pub member_count: u64,
    /// Number of its last message, 0 for none.
    pub last_seq: u64,
    /// When it was opened.
    #[serde(with = "crate::rfc3339")]
    pub created_at: Timestamp,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomMemberView {
    /// Who.
    pub member_id: MemberId,
    /// What the member is called now.
    pub display_name: String,
    /// Owner or member.
    pub role: RoomRole,
    /// Since when.
    #[serde(with = "crate::rfc3339")]
    pub joined_at: Timestamp,
}

/// An account as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    /// Who.
    pub member_id: MemberId,
    /// What the member is called.
    pub display_name: String,
}

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    /// Who.
    pub member_id: MemberId,
    /// The address as typed at registration.
    pub email: String,
    /// What others see.
    pub display_name: String,
    /// What the member may do.
    pub role: MemberRole,
}

/// How much is unread in one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadView {
    /// Which room.
    pub room_id: RoomId,
    /// Messages not read and not deleted.
    pub unread: u64,
    /// Number of the room's last message.
    pub last_seq: u64,
    /// Number of the last message read.
    pub read_seq: u64,
}

/// A room as one of its members sees it in the list of their rooms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MyRoomView {
    /// The room.
    pub room: RoomView,
    /// Messages not read and not deleted.
    pub unread: u64,
    /// Number of the last message read.
    pub read_seq: u64,
    /// The newest message, deleted or not.
    pub last_message: Option<MessageView>,
}
