//! What the use cases need from the world, one trait per port. Each port has one contract suite that every adapter
//! passes.

mod admin;
mod event_log;
mod identity;
mod leadership;
mod read_models;
mod realtime;
mod replay;
mod time;

pub use admin::{AdminError, ProjectionStatus, ProjectionsAdmin, VERIFICATION_SAMPLES_MAX, Verification};
pub use event_log::{
    AppendError, Appended, EventLog, LogError, NewEvent, NewSnapshot, READ_BATCH_MAX, RecordedEvent,
    Snapshot, StreamId, Turn,
};
pub use identity::{
    AccessClaims, IdentityError, IssuedTicket, LoginLimiter, PasswordHasher, RefreshOutcome, SessionStore,
    TicketStore, TokenIssuer,
};
pub use leadership::{Leadership, LeadershipError, Lease};
pub use read_models::{
    HistoryReader, MemberReader, Page, Positions, Range, ReadError, RoomReader, UnreadReader, UnreadSnapshot,
};
pub use realtime::{
    Broadcast, BroadcastError, Delivery, Interest, Listening, PushSource, PushStream, Stretch,
};
pub use replay::{REPLAY_BATCH, REPLAY_MAX, Replay, Replayed};
pub use time::{Clock, IdGenerator};
