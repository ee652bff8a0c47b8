//! What a server can break.

use crate::ids::{MemberId, MessageId, RoomId};

/// One broken promise, with what is needed to look for it in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Violation {
    /// An acknowledged message is not in history.
    #[error("lost: {key} was acknowledged as {room} #{seq}, which is not in history")]
    Lost {
        /// Where it should be.
        room: RoomId,
        /// The number it was promised.
        seq: u64,
        /// Its idempotency key.
        key: String,
    },
    /// Another message stands where an acknowledged one should.
    #[error("replaced: {room} #{seq} is {found}, but was acknowledged to {key} as {promised}")]
    Replaced {
        /// Where.
        room: RoomId,
        /// The number.
        seq: u64,
        /// The key it was acknowledged to.
        key: String,
        /// The id it was acknowledged with.
        promised: MessageId,
        /// The id that is there.
        found: MessageId,
    },
    /// One send is in history more than once.
    #[error("doubled: {key} is in {room} as {seqs:?}")]
    Doubled {
        /// Where.
        room: RoomId,
        /// The idempotency key.
        key: String,
        /// All numbers it has.
        seqs: Vec<u64>,
    },
    /// The same key was acknowledged with different results.
    #[error("acknowledged twice: {key} in {room} as #{first} and as #{second}")]
    AcksDiffer {
        /// Where.
        room: RoomId,
        /// The idempotency key.
        key: String,
        /// Number of the first answer.
        first: u64,
        /// Number of another.
        second: u64,
    },
    /// A refused send is in history.
    #[error("refused but stored: {key} is in {room} as #{seq}")]
    RefusedButStored {
        /// Where.
        room: RoomId,
        /// Its number.
        seq: u64,
        /// The idempotency key.
        key: String,
    },
    /// A message that nobody sent.
    #[error("unexplained: {room} #{seq} says {body:?}")]
    Unexplained {
        /// Where.
        room: RoomId,
        /// Its number.
        seq: u64,
        /// What it says.
        body: String,
    },
    /// History does not run 1, 2, 3 ... in order.
    #[error("gap: {room} has #{found} where #{expected} should be")]
    Gap {
        /// Where.
        room: RoomId,
        /// The number that should come.
        expected: u64,
        /// The number that comes.
        found: u64,
    },
    /// A message that was acknowledged before another was sent has the higher number.
    #[error("reordered: in {room} #{earlier} was acknowledged before #{later} was sent")]
    Reordered {
        /// Where.
        room: RoomId,
        /// Number of the one acknowledged first.
        earlier: u64,
        /// Number of the one sent afterwards.
        later: u64,
    },
    /// The stored text is none that the message can have, or its deletion is lost or made up.
    #[error("altered: {room} #{seq} says {found:?}, possible are {possible:?}")]
    Altered {
        /// Where.
        room: RoomId,
        /// Its number.
        seq: u64,
        /// What it says; `None` if deleted.
        found: Option<String>,
        /// What it may say.
        possible: Vec<Option<String>>,
    },
    /// The stored author is not the one who sent it.
    #[error("misattributed: {room} #{seq} is by {found}, not {sender}")]
    Misattributed {
        /// Where.
        room: RoomId,
        /// Its number.
        seq: u64,
        /// Who sent it.
        sender: MemberId,
        /// Who is said to have.
        found: MemberId,
    },
    /// A subscriber did not get a message, at the end or before a later one.
    #[error("not delivered: {subscriber} in {room} never got #{seq}")]
    NotDelivered {
        /// Who.
        subscriber: String,
        /// Where.
        room: RoomId,
        /// Its number.
        seq: u64,
    },
    /// A subscriber got a message again, or after a later one.
    #[error("delivered again or late: {subscriber} in {room} got #{seq} after #{after}")]
    DeliveredAgain {
        /// Who.
        subscriber: String,
        /// Where.
        room: RoomId,
        /// The number it got.
        seq: u64,
        /// The highest number it had.
        after: u64,
    },
    /// A subscriber got something else than history has.
    #[error("delivered wrong: {subscriber} in {room} got #{seq} as {what}")]
    DeliveredWrong {
        /// Who.
        subscriber: String,
        /// Where.
        room: RoomId,
        /// The number it got.
        seq: u64,
        /// What was wrong with it.
        what: String,
    },
    /// A member's list of rooms lacks one, or has one too many.
    #[error("membership: {member} {} {room}", if *.listed { "still lists" } else { "does not list" })]
    Membership {
        /// Who.
        member: MemberId,
        /// Which room.
        room: RoomId,
        /// Whether the server lists it.
        listed: bool,
    },
    /// A read cursor stands where nothing put it.
    #[error("read cursor: {member} in {room} stands at {found}, possible are {possible}")]
    Cursor {
        /// Who.
        member: MemberId,
        /// Where.
        room: RoomId,
        /// Where it stands.
        found: u64,
        /// Where it may stand.
        possible: String,
    },
    /// Unread is not last - read - deleted after read.
    #[error(
        "miscounted: {member} in {room} has {found} unread, not {expected} (read {read_seq}, last {last_seq})"
    )]
    Miscounted {
        /// Who.
        member: MemberId,
        /// Where.
        room: RoomId,
        /// What the server says.
        found: u64,
        /// What the model says.
        expected: u64,
        /// The server's read cursor.
        read_seq: u64,
        /// The room's newest message.
        last_seq: u64,
    },
    /// A room's row names another newest message than history has.
    #[error("stale row: {member} sees {room} end at #{found}, history ends at #{expected}")]
    StaleRow {
        /// Who.
        member: MemberId,
        /// Where.
        room: RoomId,
        /// What the row says.
        found: u64,
        /// Where history ends.
        expected: u64,
    },
    /// The last unread push is not what the member's list of rooms says.
    #[error("pushed wrong: {member} in {room} was last told {last:?}")]
    PushedWrong {
        /// Who.
        member: MemberId,
        /// Where.
        room: RoomId,
        /// Unread, last and read number of the last push, if there was any.
        last: Option<(u64, u64, u64)>,
    },
    /// Seen to be wrong at once, or by the server's own `projections verify`.
    #[error("{0}")]
    Incident(String),
}
