//! What the bus tells about itself.

use std::time::Duration;

/// What the bus tells about itself, for metrics. Called on the hot path: implementations must not block.
pub trait BusObserver: Send + Sync + 'static {
    /// A command was answered after `latency`, counted from its submission.
    fn answered(&self, command: &'static str, outcome: &'static str, latency: Duration);
    /// A command waited so long until its batch began.
    fn waited(&self, _: Duration) {}
    /// A batch of `commands` led to `events` events; the append took `append`.
    fn committed(&self, commands: usize, events: usize, append: Duration);
    /// A command found the queue full.
    fn overloaded(&self);
    /// A batch lost a race for a stream and is decided again.
    fn conflicted(&self);
    /// A batch or a look panicked: a bug. Those who waited hear that the outcome is unknown.
    fn panicked(&self) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl BusObserver for Unobserved {
    fn answered(&self, _: &'static str, _: &'static str, _: Duration) {}
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn overloaded(&self) {}
    fn conflicted(&self) {}
}
