//! What was logged, as numbers.

use prometheus::{IntCounter, IntCounterVec, Opts};
use std::sync::LazyLock;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

/// The counters of this process: logging is set up before anything else, and there is one of it.
#[derive(Debug)]
pub(crate) struct LogEvents {
    /// By level.
    pub(crate) all: IntCounterVec,
    error: IntCounter,
    warn: IntCounter,
    info: IntCounter,
}

/// Events that were logged, by level. What the filter keeps out is not counted.
#[expect(clippy::expect_used, reason = "the names are constants, and a test makes them")]
pub(crate) static LOG_EVENTS: LazyLock<LogEvents> = LazyLock::new(|| {
    let opts = Opts::new("verbatim_log_events_total", "Events logged.");
    let all = IntCounterVec::new(opts, &["level"]).expect("a name and a label");
    LogEvents {
        error: all.with_label_values(&["error"]),
        warn: all.with_label_values(&["warn"]),
        info: all.with_label_values(&["info"]),
        all,
    }
});

/// Log lines that could not be written: the queue was full, or the disk.
#[expect(clippy::expect_used, reason = "the name is a constant, and a test makes it")]
pub(crate) static LOG_LINES_LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("verbatim_log_lines_lost_total", "Log lines that could not be written.").expect("a name")
});

/// Counts events that pass the filter.
pub(super) struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        match *event.metadata().level() {
            Level::ERROR => LOG_EVENTS.error.inc(),
            Level::WARN => LOG_EVENTS.warn.inc(),
            Level::INFO => LOG_EVENTS.info.inc(),
            // Nobody wants an alert on them.
            Level::DEBUG | Level::TRACE => {}
        }
    }
}
