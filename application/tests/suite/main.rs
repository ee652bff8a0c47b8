//! The command bus and the use cases, against ports that tests can break.

// A test that meets what it does not expect may panic, in its helpers too.
#![allow(clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod batching;
mod cache;
mod conflicts;
mod failures;
mod freshness;
mod idempotency;
mod import;
mod messages;
mod panics;
mod queries;
mod reading;
mod registration;
mod rooms;
mod sessions;
mod snapshots;
mod stored_events;
mod transactions;
