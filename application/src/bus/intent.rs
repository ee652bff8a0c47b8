//! What is asked of the bus, and what it answers.

use super::{Command, limits::ANSWER_LIMIT};
use crate::{codec::Event, error::AppError, ports::StreamId, trace::TraceContext};
use tokio::sync::oneshot;
use verbatim_domain::MemberId;

/// A claim to be the only command with its key, in the whole log and forever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key with its scope (whose key it is).
    pub key: String,
    /// Hash of what is asked for: the same key with another one is a conflict.
    pub content_hash: String,
}

/// One command to one aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which aggregate.
    pub stream: StreamId,
    /// What it is asked.
    pub command: Command,
    /// The caller has just issued the id, so there is nothing to load.
    pub fresh: bool,
    /// Whether it must happen once only; its first event carries the key.
    pub idempotency: Option<Idempotency>,
}

/// What is to be done, all or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Who asks.
    pub actor: Option<MemberId>,
    /// In which request.
    pub correlation_id: Option<String>,
    /// By which step of a trace.
    pub trace: Option<TraceContext>,
}

/// What became of a step: it is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// The events, in the order of the log; empty if what was wanted held already.
    pub events: Vec<Event>,
    /// A log position that includes them.
    pub position: u64,
    /// It had been done before, under the same idempotency key: `events` holds the first event of that time.
    pub repeated: bool,
}

/// One result a step, or why nothing was done.
pub(super) type Answer = Result<Vec<Executed>, AppError>;

/// An intent that is queued; the answer comes when it is durable.
#[derive(Debug)]
pub struct Pending(pub(super) oneshot::Receiver<Answer>);

impl Pending {
    /// Waits for the answer, at most [`ANSWER_LIMIT`].
    ///
    /// # Errors
    /// The rejection; or `unavailable`, in which case the caller may try again with the same idempotency key.
    pub async fn wait(self) -> Result<Vec<Executed>, AppError> {
        match tokio::time::timeout(ANSWER_LIMIT, self.0).await {
            Ok(Ok(answer)) => answer,
            // The shard dropped it: its batch panicked, or the process is at its end.
            Ok(Err(closed)) => Err(AppError::unavailable(
                "it is not known whether this was done; try again with the same idempotency key",
                closed,
            )),
            Err(elapsed) => Err(AppError::unavailable("the event log did not answer in time", elapsed)),
        }
    }

    /// Waits for the answer of an intent of one step, or of its first step.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn wait_first(self) -> Result<Executed, AppError> {
        self.wait().await?.into_iter().next().ok_or_else(|| AppError::internal("an intent without steps"))
    }
}
