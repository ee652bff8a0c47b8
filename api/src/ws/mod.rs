//! STOMP over WebSocket at `/ws`.

mod account;
mod actions;
mod clock;
mod connection;
mod destination;
mod handshake;
mod resume;
mod slots;

pub use handshake::WsEndpoint;

use crate::realtime::Hub;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use verbatim_application::{App, ports::Broadcast};

/// Most realtime sessions on one node; one more is answered 503.
pub const SESSIONS_MAX: usize = 50_000;

/// What a session tells about itself, for metrics.
pub trait SessionObserver: Send + Sync + 'static {
    /// A session of this kind (`stomp`, `sse`) has begun.
    fn opened(&self, kind: &'static str);
    /// It has ended, for this reason.
    fn closed(&self, kind: &'static str, reason: &'static str);
    /// What a STOMP frame came to (`ok`, `rejected`, `failed`, `gone`), `latency` after it was read. `command` is one of a
    /// few names, or `invalid`.
    fn frame(&self, _command: &'static str, _outcome: &'static str, _latency: Duration) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnobservedSessions;

impl SessionObserver for UnobservedSessions {
    fn opened(&self, _: &'static str) {}
    fn closed(&self, _: &'static str, _: &'static str) {}
}

/// What every realtime session works with.
#[derive(Clone)]
pub struct Realtime {
    /// The use cases.
    pub app: Arc<App>,
    /// This node's hub.
    pub hub: Arc<Hub>,
    /// For what is pushed without being stored: typing.
    pub broadcast: Arc<dyn Broadcast>,
    /// Cancelled when the service stops: sessions finish what they have accepted and tell their client to come back.
    pub stop: CancellationToken,
    /// For metrics.
    pub observer: Arc<dyn SessionObserver>,
    /// Places for sessions, of either kind.
    pub places: Arc<Semaphore>,
}
