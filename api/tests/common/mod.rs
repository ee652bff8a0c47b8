//! What every black-box test works with: the real binary on a port of its own, and clients for each of its doors.
//!
//! Nothing here sleeps: whatever is waited for is an event, with a limit.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test binary includes this module and uses a part of it"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it finds something wrong")]

mod app;
mod member;
mod process;
mod rest;
mod sse;
mod stomp;

pub use app::{App, Setup, spawn_app};
pub use member::Member;
pub use process::Output;
pub use rest::{Answer, Server};
pub use sse::{SseEvent, SseStream};
pub use stomp::{Handshake, Heard, Stomp, code, frame};

use std::{future::Future, panic::Location, time::Duration};

/// How long anything may take that should be quick, on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
#[track_caller]
pub fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        match tokio::time::timeout(LIMIT, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: not within {LIMIT:?}: {what}"),
        }
    }
}
