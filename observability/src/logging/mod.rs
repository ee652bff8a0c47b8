//! Logs: bunyan JSON lines for machines, plain lines for people.

mod count;
mod fields;
mod gathering;
mod later;
mod line;
mod queue;
mod rolling;

pub(crate) use count::{LOG_EVENTS, LOG_LINES_LOST};
pub use fields::{FIELDS, FieldType, check_line};
pub use later::tell_later;
pub use rolling::LogFile;

use count::Count;
use later::LaterGuard;
use line::{Lines, Sink};
use queue::{Queue, QueueGuard};
use rolling::Rolling;
use std::{
    io::{IsTerminal, stderr, stdout},
    sync::atomic::{AtomicBool, Ordering},
};
use tracing::{Event, Metadata, Subscriber, subscriber::set_global_default};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::filter_fn,
    fmt,
    layer::{Context, SubscriberExt},
};

/// What is logged unless asked otherwise: our own INFO, what others warn of.
const DEFAULT_FILTER: &str = "warn,verbatim=info,verbatim_api=info,verbatim_application=info,\
     verbatim_infrastructure=info,verbatim_projections=info,verbatim_observability=info";

/// Whether standard output holds log lines.
static ON_STDOUT: AtomicBool = AtomicBool::new(false);

/// How log lines look, and where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Lines for people, on standard error.
    Readable,
    /// JSON lines on standard error. For commands: standard output belongs to what they print.
    Command,
    /// JSON lines on standard output, where those who ship logs look. Nobody waits until they are written.
    Service,
}

impl Output {
    /// Of a command: readable on a terminal, JSON everywhere else.
    #[must_use]
    pub fn of_command() -> Self {
        if stderr().is_terminal() { Self::Readable } else { Self::Command }
    }

    /// Of the service: JSON on standard output, unless that is a terminal.
    #[must_use]
    pub fn of_service() -> Self {
        if stdout().is_terminal() { Self::of_command() } else { Self::Service }
    }
}

/// What logging is to be like.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Name of the program: field `name`.
    pub name: &'a str,
    /// Name of this node: field `hostname`.
    pub node: &'a str,
    /// What is logged, as `target=level,…`; what this crate thinks fit if absent.
    pub filter: Option<&'a str>,
    /// Where to.
    pub output: Output,
    /// Beside that, JSON lines into a file.
    pub file: Option<LogFile>,
}

/// Logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not of the form `target=level,…`.
    #[error("setting VERBATIM_LOG: the log filter is not right: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The log file can't be opened.
    #[error("setting VERBATIM_LOG_FILE: the log file {path} can't be opened: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The thread that writes can't be started.
    #[error("the thread that writes the log can't be started: {0}")]
    Thread(std::io::Error),
    /// It was set up before.
    #[error("logging is set up already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Logging at work. Dropping it writes what is queued: keep it until the end of the process.
#[must_use = "what is queued is written when this is dropped"]
#[derive(Debug, Default)]
pub struct Logging {
    // First: what is made last goes into the queues.
    _later: Option<LaterGuard>,
    queues: Vec<QueueGuard>,
}

/// Passes events on to a layer, and keeps the begin and end of spans from it: the bunyan formatter writes a line for each,
/// so that every request would stand in the log three times, once before its route is known. The fields of spans are in
/// the lines of their events all the same, by way of [`JsonStorageLayer`].
struct EventsOnly<L>(L);

impl<S: Subscriber, L: Layer<S>> Layer<S> for EventsOnly<L> {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.0.on_event(event, context);
    }
}

/// Whether code of this project logs.
fn is_own(target: &str) -> bool {
    target.starts_with("verbatim")
}

/// Spans of libraries are left out: their fields would stand in the lines of our own events, under any name.
fn no_foreign_spans(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() || is_own(metadata.target())
}

/// Whether standard output holds log lines, so that nothing else should be printed there.
#[must_use]
pub fn logs_to_stdout() -> bool {
    ON_STDOUT.load(Ordering::Relaxed)
}

/// Sets logging up for the whole process.
///
/// # Errors
/// [`LoggingError`]
pub fn init(options: Options<'_>) -> Result<Logging, LoggingError> {
    let filter = EnvFilter::builder().parse(options.filter.unwrap_or(DEFAULT_FILTER))?;
    let mut logging = Logging::default();
    let mut sinks = Vec::new();
    match options.output {
        Output::Readable => {}
        Output::Command => sinks.push(Sink::Stderr),
        Output::Service => {
            let (queue, guard) = Queue::start("log-stdout", stdout()).map_err(LoggingError::Thread)?;
            sinks.push(Sink::Queue(queue));
            logging.queues.push(guard);
            logging._later = Some(later::start().map_err(LoggingError::Thread)?);
            ON_STDOUT.store(true, Ordering::Relaxed);
        }
    }
    if let Some(file) = options.file {
        let path = file.path.display().to_string();
        let rolling = Rolling::open(file).map_err(|source| LoggingError::File { path, source })?;
        let (queue, guard) = Queue::start("log-file", rolling).map_err(LoggingError::Thread)?;
        sinks.push(Sink::Queue(queue));
        logging.queues.push(guard);
    }
    let lines = (!sinks.is_empty()).then(|| {
        let lines = Lines::new(options.name, options.node, sinks);
        JsonStorageLayer.and_then(EventsOnly(BunyanFormattingLayer::new(options.name.to_owned(), lines)))
    });
    let readable =
        (options.output == Output::Readable).then(|| fmt::layer().with_writer(stderr).with_target(false));
    let subscriber = Registry::default().with(filter).with(filter_fn(no_foreign_spans)).with(Count);
    set_global_default(subscriber.with(lines).with(readable))?;
    Ok(logging)
}
