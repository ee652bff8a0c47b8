//! Waiting failures out, and saying what they were.

use crate::{failures, feed::FeedError, runner::RunError};
use std::time::Duration;
use tokio::time::Instant;
use verbatim_application::error::causes;

/// The first pause after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Pauses that double.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(BACKOFF.0)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(BACKOFF.1);
        pause
    }
}

/// Failures, as long as they last: logged when they begin, when they become others, and when they are over.
pub(crate) struct Trouble {
    what: Option<String>,
    /// When all was well for the last time.
    well: Instant,
}

impl Trouble {
    pub(crate) fn none() -> Self {
        Self { what: None, well: Instant::now() }
    }

    /// Takes note of a failure; tells how long ago all was well.
    pub(crate) fn note(&mut self, error: &RunError) -> Duration {
        let text = causes(error);
        // A server that is away fails in many ways: refused, hung up, no answer.
        let what = match error {
            RunError::Slow => "away".to_owned(),
            RunError::Database(error) if failures::is_away(error) => "away".to_owned(),
            RunError::Feed(FeedError::Log(_)) => "no log".to_owned(),
            _ => text.clone(),
        };
        if self.what.as_ref() != Some(&what) {
            tracing::error!(error = text, "the projections do not go on; trying again");
        }
        self.what = Some(what);
        self.well.elapsed()
    }

    pub(crate) fn is_over(&mut self) {
        self.well = Instant::now();
        if self.what.take().is_some() {
            tracing::info!("the projections go on");
        }
    }
}
