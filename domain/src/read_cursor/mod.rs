//! The **ReadCursor** aggregate: how far one member has read in one room. It has a stream of its own, so ten
//! thousand readers never contend with one writer for the room's stream.

use crate::{Decider, ErrorKind, MemberId, Rejection, RoomId, Timestamp, decider::cqrs_shim};
use serde::{Deserialize, Serialize};

/// What can be asked of a cursor.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadCursorCommand {
    /// Everything up to `seq` is read.
    MarkRead {
        /// In which room; the caller has checked that the member is in it.
        room_id: RoomId,
        /// Who read.
        member_id: MemberId,
        /// Up to which message; beyond `last_seq` it is clamped.
        seq: u64,
        /// The room's last message when the command was made.
        last_seq: u64,
        /// When.
        at: Timestamp,
    },
}

/// What can happen to a cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReadCursorEvent {
    /// It moved forward.
    ReadCursorAdvanced {
        /// In which room.
        room_id: RoomId,
        /// Whose.
        member_id: MemberId,
        /// The last message read.
        seq: u64,
        /// When.
        at: Timestamp,
    },
}

impl ReadCursorEvent {
    /// The event's stable name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ReadCursorAdvanced { .. } => "ReadCursorAdvanced",
        }
    }

    /// The version of its payload's shape.
    #[must_use]
    pub fn version(&self) -> &'static str {
        "1"
    }
}

/// A cursor refuses nothing: going back is not an error, it just has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadCursorError {}

impl Rejection for ReadCursorError {
    fn code(&self) -> &'static str {
        match *self {}
    }

    fn kind(&self) -> ErrorKind {
        match *self {}
    }
}

/// How far one member has marked one room read.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadCursor {
    seq: u64,
}

impl ReadCursor {
    /// The last message marked read, 0 for none.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Decider for ReadCursor {
    fn decide(&self, command: &ReadCursorCommand) -> Result<Vec<ReadCursorEvent>, ReadCursorError> {
        let ReadCursorCommand::MarkRead { room_id, member_id, seq, last_seq, at } = command;
        let seq = *seq.min(last_seq);
        if seq <= self.seq {
            return Ok(vec![]);
        }
        Ok(vec![ReadCursorEvent::ReadCursorAdvanced {
            room_id: *room_id,
            member_id: *member_id,
            seq,
            at: *at,
        }])
    }

    fn evolve(&mut self, event: &ReadCursorEvent) {
        let ReadCursorEvent::ReadCursorAdvanced { seq, .. } = event;
        self.seq = self.seq.max(*seq);
    }
}

cqrs_shim!(ReadCursor, "read_cursor", ReadCursorCommand, ReadCursorEvent, ReadCursorError);
