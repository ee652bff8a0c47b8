//! What the clients did, and what they were told. Plain data, so that the checks can be tried on made-up histories.
//!
//! Time is a [`Tick`]: one counter for the whole run, read before a request goes out and after its answer came in. Two
//! requests are ordered only if one's answer tick is below the other's start tick.

use crate::ids::{MemberId, MessageId, RoomId};
use std::collections::BTreeMap;

/// Logical time: how many things the run had begun or ended before.
pub type Tick = u64;

/// Everything that happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// All attempts to send, by logical message: a retry with the same key is the same entry.
    pub sends: Vec<Send>,
    /// All changes of messages, in the order in which each author made them.
    pub changes: Vec<Change>,
    /// All that moves read cursors, other than sending.
    pub reads: Vec<Read>,
    /// All subscribers.
    pub subscribers: Vec<Subscriber>,
    /// Latest unread push of each watcher and room.
    pub pushes: BTreeMap<(MemberId, RoomId), Push>,
    /// What was already seen to be wrong while it happened.
    pub incidents: Vec<String>,
}

/// A message that somebody tried to send.
#[derive(Clone, Debug)]
pub struct Send {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub sender: MemberId,
    /// Idempotency key; also the first word of the body, and of every later version of it.
    pub key: String,
    /// The whole body.
    pub body: String,
    /// Before the first attempt went out.
    pub started: Tick,
    /// What the attempts were answered; more than one when an acknowledged send was repeated on purpose.
    pub acks: Vec<Ack>,
    /// Whether every attempt so far was refused, so that nothing may be stored.
    pub refused: bool,
}

/// A RECEIPT or a 201.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The message's number.
    pub seq: u64,
    /// The message's id.
    pub message_id: MessageId,
    /// After the answer came in.
    pub at: Tick,
}

/// An edit or a deletion by the author.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub room: RoomId,
    /// Which message.
    pub seq: u64,
    /// The new body; `None` deletes.
    pub body: Option<String>,
    /// Acknowledged; otherwise it may or may not have happened.
    pub certain: bool,
}

/// Something that moves a member's read cursor to at least a number.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Whose cursor.
    pub member: MemberId,
    /// Where.
    pub room: RoomId,
    /// How far.
    pub to: ReadTo,
    /// Acknowledged; otherwise it may or may not have happened.
    pub certain: bool,
}

/// How far a cursor moves.
#[derive(Clone, Copy, Debug)]
pub enum ReadTo {
    /// To this message, which existed.
    Seq(u64),
    /// To the room's end as it was at some moment between the two ticks: joining, or marking beyond the end.
    End {
        /// Before the request.
        started: Tick,
        /// After its answer; [`Tick::MAX`] if none came.
        finished: Tick,
    },
}

/// One client that follows a room through all its reconnections.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// For the report, for example `stomp-2`.
    pub name: String,
    /// What it follows.
    pub room: RoomId,
    /// The number after which it should get everything.
    pub after: u64,
    /// Every `message` it was sent, in order, over all its connections.
    pub deliveries: Vec<Delivery>,
}

/// One message as a subscriber got it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number.
    pub seq: u64,
    /// Its id.
    pub message_id: MessageId,
    /// What it said then; `None` if it came as deleted.
    pub body: Option<String>,
}

/// One unread push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push {
    /// Unread messages.
    pub unread: u64,
    /// The room's newest message.
    pub last_seq: u64,
    /// The member's read cursor.
    pub read_seq: u64,
}

/// First word of a body: the key of the send that it came from.
pub fn key_of(body: &str) -> &str {
    body.split(' ').next().unwrap_or_default()
}
