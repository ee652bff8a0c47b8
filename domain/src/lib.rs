//! The rules of Verbatim, and nothing else: aggregates that decide which events follow from a command.
//!
//! Everything here is pure and synchronous. Time and ids come in with the command, so the same command on the
//! same state always gives the same events. See `docs/` and ARCHITECTURE.md for how the other crates use it.

pub mod decider;
pub mod email;
pub mod ids;
pub mod member;
pub mod read_cursor;
pub mod room;
pub mod text;

pub use decider::{Decider, ErrorKind, Rejection};
pub use ids::{CursorId, EmailId, MemberId, MessageId, RoomId};

/// A moment in UTC. Stored and shown with microseconds, so finer parts are dropped where time enters.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
