//! Logs: bunyan JSON lines for machines, plain lines for people.

use std::io::IsTerminal;
use tracing::{Event, Subscriber, subscriber::set_global_default};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt,
    layer::{Context, SubscriberExt},
};

/// What is logged unless asked otherwise: our own INFO, what others warn of.
const DEFAULT_FILTER: &str = "warn,verbatim=info,verbatim_api=info,verbatim_application=info,\
     verbatim_infrastructure=info,verbatim_projections=info";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, as bunyan writes them.
    Bunyan,
    /// A line for people.
    Readable,
}

impl Format {
    /// Readable on a terminal, JSON everywhere else.
    #[must_use]
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() { Self::Readable } else { Self::Bunyan }
    }
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

/// Logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not of the form `target=level,…`.
    #[error("the log filter is not right: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before.
    #[error("logging is set up already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets logging up for the whole process. Logs go to standard error: standard output belongs to what a command prints.
///
/// # Errors
/// [`LoggingError`]
pub fn init(name: &str, filter: Option<&str>, format: Format) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder().parse(filter.unwrap_or(DEFAULT_FILTER))?;
    match format {
        Format::Bunyan => {
            let lines = EventsOnly(BunyanFormattingLayer::new(name.to_owned(), std::io::stderr));
            set_global_default(Registry::default().with(filter).with(JsonStorageLayer).with(lines))?;
        }
        Format::Readable => {
            let lines = fmt::layer().with_writer(std::io::stderr).with_target(false).boxed();
            set_global_default(Registry::default().with(filter).with(lines))?;
        }
    }
    Ok(())
}
