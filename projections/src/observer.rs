//! A hook for metrics.

use std::time::Duration;
use verbatim_application::codec::Envelope;

/// What one committed batch of the live runner was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchReport {
    /// How many events it had.
    pub events: usize,
    /// How many changes were handed to the broadcast.
    pub pushes: usize,
    /// From the events being decoded to the commit.
    pub took: Duration,
    /// Position of its last event.
    pub position: u64,
    /// The log's head, as far as the runner has heard.
    pub head: u64,
}

/// Watches the live runner. Called on its task: it must be quick.
pub trait Observer: Send + Sync + 'static {
    /// A batch was committed.
    fn applied(&self, _report: BatchReport) {}

    /// These events were applied, each once, which took so long; told after [`Self::applied`].
    fn projected(&self, _events: &[Envelope], _took: Duration) {}

    /// Whether this process runs it now. Only told where several might, by whom nobody else asks.
    fn leads(&self, _leading: bool) {}

    /// The runner could not go on and will try again.
    fn failed(&self, _error: &(dyn std::error::Error + 'static)) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoObserver;

impl Observer for NoObserver {}
