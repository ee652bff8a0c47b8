//! The parts of the server's answers that a check needs; unknown fields are ignored, missing ones are errors.

use crate::ids::{MemberId, MessageId, RoomId};
use serde::Deserialize;

/// A list answer.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// What this page holds.
    pub items: Vec<T>,
    /// Where the next page starts, if there is one; a string or a number, passed back as it is.
    pub next: Option<serde_json::Value>,
}

/// A new account.
#[derive(Debug, Deserialize)]
pub struct Member {
    /// The id.
    pub member_id: MemberId,
}

/// A log-in.
#[derive(Debug, Deserialize)]
pub struct Login {
    /// The bearer token.
    pub access_token: String,
    /// Its life in seconds.
    pub expires_in: u64,
}

/// A room.
#[derive(Clone, Debug, Deserialize)]
pub struct Room {
    /// The id.
    pub room_id: RoomId,
    /// Its name; direct rooms have none of their own.
    #[serde(default)]
    pub name: Option<String>,
    /// Number of the newest message, 0 if there is none.
    pub last_seq: u64,
}

/// A message, as REST answers it and as every push carries it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// The id.
    pub message_id: MessageId,
    /// Its number in the room, from 1 without gaps.
    pub seq: u64,
    /// Who wrote it.
    pub sender_id: MemberId,
    /// What it says; what a deleted one says is not checked.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether its author took it back.
    #[serde(default)]
    pub deleted: bool,
}

/// One row of `GET /me/rooms`.
#[derive(Clone, Debug, Deserialize)]
pub struct MyRoom {
    /// The room.
    pub room: Room,
    /// Messages after the read cursor that are not deleted.
    pub unread: u64,
    /// The read cursor.
    pub read_seq: u64,
}

/// Answer of `PUT /rooms/{room_id}/read-cursor`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ReadCursor {
    /// Where the cursor stands now.
    pub read_seq: u64,
    /// What is unread now.
    pub unread: u64,
}

/// Which page of a room's history.
#[derive(Clone, Copy, Debug)]
pub enum SeqPage {
    /// The newest.
    Newest,
    /// The messages that follow this number.
    After(u64),
    /// The messages that come before this number.
    Before(u64),
}
