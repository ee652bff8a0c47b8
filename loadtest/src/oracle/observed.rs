//! What the server says when all is quiet.

use crate::http::Message;
use crate::ids::{MemberId, RoomId};
use std::collections::BTreeMap;

/// A quiet server's answers.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The whole history of each room, as paged with `?after=`.
    pub history: BTreeMap<RoomId, Vec<Message>>,
    /// Each member's row for each room they are in.
    pub inboxes: BTreeMap<(MemberId, RoomId), Inbox>,
    /// Who should have a row.
    pub members: Vec<(MemberId, RoomId)>,
    /// Whose unread push for the room's end was awaited: everyone who is watching but the last sender.
    pub watched: Vec<(MemberId, RoomId)>,
}

/// One row of `GET /me/rooms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Unread messages.
    pub unread: u64,
    /// The read cursor.
    pub read_seq: u64,
    /// The room's newest message.
    pub last_seq: u64,
}

impl Observed {
    /// A room's history, empty if it was not asked for.
    pub fn room(&self, room: RoomId) -> &[Message] {
        self.history.get(&room).map_or(&[], Vec::as_slice)
    }
}
