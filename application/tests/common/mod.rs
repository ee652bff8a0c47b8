//! Fakes of the ports, and a small world of nodes on one log.

pub(crate) mod clock;
pub(crate) mod gate;
pub(crate) mod identity;
pub(crate) mod log;
pub(crate) mod observer;
pub(crate) mod reads;
pub(crate) mod world;

pub(crate) use log::{FakeLog, Fault};
pub(crate) use observer::Tally;
pub(crate) use world::{Node, World, body, key, member};

use std::{future::Future, time::Duration};

/// Longest that a test waits for anything; reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits, but not forever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}
