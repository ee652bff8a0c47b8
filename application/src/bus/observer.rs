//! What the bus tells about itself.

use super::{shard::Waiting, tell::Append};
use crate::trace::TraceContext;
use std::time::Duration;

/// A command of a sampled trace that is durable now.
#[derive(Debug, Clone, Copy)]
pub struct Traced<'a> {
    /// Name of its first step.
    pub command: &'static str,
    /// The step of the trace that asked for it.
    pub trace: &'a TraceContext,
    /// From its submission until now.
    pub latency: Duration,
    /// From its submission until its batch began.
    pub wait: Duration,
    /// How long the append took that it was in, which has just ended.
    pub append: Duration,
    /// How many events that append had.
    pub events: usize,
}

impl<'a> Traced<'a> {
    /// `None` if it is part of no trace.
    pub(super) fn of(append: Append, waiting: &'a Waiting) -> Option<Self> {
        Some(Self {
            command: waiting.name(),
            trace: waiting.intent.trace.as_ref()?,
            latency: waiting.since.elapsed(),
            wait: append.began.saturating_duration_since(waiting.since),
            append: append.took,
            events: append.events,
        })
    }
}

/// What the bus tells about itself, for metrics. Called on the hot path: implementations must not block.
pub trait BusObserver: Send + Sync + 'static {
    /// A command was answered after `latency`, counted from its submission.
    fn answered(&self, command: &'static str, outcome: &'static str, latency: Duration);
    /// A command waited so long until its batch began.
    fn waited(&self, _: Duration) {}
    /// A batch of `commands` led to `events` events; the append took `append`.
    fn committed(&self, commands: usize, events: usize, append: Duration);
    /// A command of a sampled trace is durable.
    fn traced(&self, _: &Traced<'_>) {}
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
