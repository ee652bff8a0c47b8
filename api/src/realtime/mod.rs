//! The realtime side: one hub per node takes projected changes and hands them to this node's subscribers.

mod body;
mod catch_up;
mod hub;
mod online;
mod outbox;
mod sse;
mod topic;

pub use body::{Encoding, encode_message};
pub use hub::{Hub, HubObserver, Subscription, UnobservedHub};
pub use outbox::{Closed, Inbox, Item, OUTBOX_BYTES_MAX, Outbox, Overflow, Payload, outbox};
