//! The realtime side: one hub per node takes projected changes and hands them to this node's subscribers.

mod body;
mod catch_up;
mod counts;
mod dispatch;
mod hub;
mod online;
mod outbox;
mod sse;
#[cfg(test)]
mod tests;
mod topic;

pub use body::{Encoding, encode_message};
pub use hub::{Hub, HubObserver, Subscription, UnobservedHub};
pub use outbox::{Closed, Inbox, Item, OUTBOX_BYTES_MAX, Outbox, Overflow, Payload, outbox};

/// Messages of history that are read at once for a session that resumes: their encoded text is its own, not shared.
pub const RESUME_PAGE: usize = 64;
