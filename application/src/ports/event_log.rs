//! The event log: append-only, ordered by `position`, gapless.

use async_trait::async_trait;
use std::fmt;
use tokio::sync::watch;
use uuid::Uuid;
use verbatim_domain::Timestamp;

/// Names one stream of events: one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// `Aggregate::TYPE`.
    pub aggregate_type: &'static str,
    /// The aggregate's id.
    pub aggregate_id: Uuid,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

/// An event on its way into the log.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Which stream it belongs to.
    pub stream: StreamId,
    /// Its number in that stream, from 1. Taken by another event: the append is a [`AppendError::Conflict`].
    pub sequence: u64,
    /// Past tense, e.g. `MessageSent`.
    pub event_type: &'static str,
    /// Version of the payload's shape.
    pub event_version: &'static str,
    /// JSON, as cqrs-es stores it.
    pub payload: String,
    /// JSON of [`crate::codec::Metadata`].
    pub metadata: String,
    /// Unique in the whole log, forever; already there: the append is a [`AppendError::Conflict`].
    pub idempotency_key: Option<String>,
}

/// State of an aggregate after some event, so that hydrating it need not read the whole stream. Disposable.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSnapshot {
    /// Of which aggregate.
    pub stream: StreamId,
    /// After which event.
    pub sequence: u64,
    /// JSON; opaque to the log.
    pub payload: String,
}

/// A stored snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// After which event.
    pub sequence: u64,
    /// JSON; opaque to the log.
    pub payload: String,
}

/// An event as the log holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// Its place in the whole log: 1, 2, 3 … without gaps, in commit order. A reader that has seen position N has seen
    /// everything up to N.
    pub position: u64,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// `Aggregate::TYPE`.
    pub aggregate_type: String,
    /// The aggregate's id.
    pub aggregate_id: Uuid,
    /// Its number in its stream, from 1.
    pub sequence: u64,
    /// Past tense, e.g. `MessageSent`.
    pub event_type: String,
    /// Version of the payload's shape.
    pub event_version: String,
    /// JSON, as cqrs-es stores it.
    pub payload: String,
    /// JSON of [`crate::codec::Metadata`].
    pub metadata: String,
    /// The client's key for the command that led to it, with its scope.
    pub idempotency_key: Option<String>,
}

/// Where an append ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Position of the first event; event `i` of the append has `first_position + i`.
    pub first_position: u64,
}

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the event log can't be read")]
pub struct LogError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// An append that was not confirmed. In every case but `Unknown`, nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer was first: a sequence of one of the streams, or an idempotency key, is taken.
    #[error("another writer was first")]
    Conflict,
    /// The log took nothing: disk full, read-only, locked too long, not reachable.
    #[error("the event log takes no events now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The commit was under way when the connection died: it may or may not be in.
    #[error("it is not known whether the event log took the events")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The right to append while all other writers wait; used up by the append, given back when dropped.
pub struct Turn(pub Box<dyn std::any::Any + Send + Sync>);

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// Most events one call of [`EventLog::read`] or [`EventLog::load`] gives.
pub const READ_BATCH_MAX: usize = 5_000;

/// The append-only log. All methods have a time limit of the adapter's own and then fail; none waits forever.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends all of `events` or none, durably, in this order, and contiguously in `position`. Snapshots are stored in
    /// the same transaction. An empty list is answered without touching the log.
    ///
    /// # Errors
    /// [`AppendError`]; see there what is known about the events then.
    async fn append(
        &self,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError>;

    /// Makes other writers wait, for one that keeps losing races: what it reads from now on stays true until it has
    /// appended. `None` if the log has no such thing. Whoever dies or is cut off with it loses it within seconds.
    ///
    /// # Errors
    /// [`LogError`]
    async fn turn(&self) -> Result<Option<Turn>, LogError> {
        Ok(None)
    }

    /// As [`Self::append`], by whoever has the turn, which ends with it.
    ///
    /// # Errors
    /// [`AppendError`]
    async fn append_in_turn(
        &self,
        _turn: Turn,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.append(events, snapshots, recorded_at).await
    }

    /// Events of one stream with a sequence greater than `after`, in order; at most `limit`, at most
    /// [`READ_BATCH_MAX`].
    ///
    /// # Errors
    /// [`LogError`]
    async fn load(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError>;

    /// The newest snapshot of a stream.
    ///
    /// # Errors
    /// [`LogError`]
    async fn load_snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, LogError>;

    /// Events with a position greater than `after`, in order; at most `limit`, at most [`READ_BATCH_MAX`].
    ///
    /// # Errors
    /// [`LogError`]
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError>;

    /// The events that carry one of these idempotency keys, in any order.
    ///
    /// # Errors
    /// [`LogError`]
    async fn find_by_idempotency_keys(&self, keys: Vec<String>) -> Result<Vec<RecordedEvent>, LogError>;

    /// Position of the last event, 0 for an empty log, asked from the log itself.
    ///
    /// # Errors
    /// [`LogError`]
    async fn head(&self) -> Result<u64, LogError>;

    /// A hint that changes soon after the head does, whoever appended. It may lag and skip values, and after a lost
    /// connection it may lag more: readers look at the log themselves too, from time to time.
    fn head_hint(&self) -> watch::Receiver<u64>;
}
