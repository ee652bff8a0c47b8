//! Reading the log by position, and decoding it, ahead of the writing.

use std::sync::Arc;
use tokio::task::JoinHandle;
use verbatim_application::{
    codec::{DecodeError, Envelope},
    ports::{EventLog, LogError, RecordedEvent},
};

/// Batches longer than this are decoded off the async threads.
const DECODE_INLINE_MAX: usize = 256;

/// About how much JSON a batch holds at most. The log counts events, and a message may have 16 KiB: after a batch of long
/// ones fewer are asked for.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// However long they are, so many are asked for.
const BATCH_MIN: usize = 64;

/// Events that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub events: Vec<Envelope>,
    /// Names the last event, see [`mark`].
    pub mark: String,
    /// Whether as many came as were asked for, so that there probably are more.
    pub full: bool,
    /// How much JSON it was.
    bytes: usize,
    /// Why the batch ends before an event that is there.
    pub broken: Option<DecodeError>,
}

impl Batch {
    /// Position of the last event.
    pub(crate) fn last(&self) -> Option<u64> {
        self.events.last().map(|envelope| envelope.position)
    }
}

/// The log could not be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the event log has no event {expected}, but an event {found} after it")]
    Gap { expected: u64, found: u64 },
    #[error("the decoder stopped")]
    Decoder(#[source] tokio::task::JoinError),
}

/// Names an event so that the event at the same position of another log has, in all likelihood, another name: one that
/// was restored from a backup and then written on.
pub(crate) fn mark(event: &RecordedEvent) -> String {
    let RecordedEvent { aggregate_type, aggregate_id, sequence, recorded_at, .. } = event;
    format!("{aggregate_type}/{aggregate_id}/{sequence}@{}", recorded_at.timestamp_micros())
}

fn decode(after: u64, recorded: &[RecordedEvent], full: bool) -> Result<Batch, FeedError> {
    let bytes = recorded.iter().map(|event| event.payload.len()).sum();
    let mut batch = Batch { events: Vec::with_capacity(recorded.len()), full, bytes, ..Batch::default() };
    for (expected, event) in (after + 1..).zip(recorded) {
        if event.position != expected {
            return Err(FeedError::Gap { expected, found: event.position });
        }
        match Envelope::decode(event) {
            Ok(envelope) => batch.events.push(envelope),
            Err(error) => {
                batch.broken = Some(error);
                batch.full = false;
                break;
            }
        }
    }
    let last = batch.events.len().checked_sub(1).and_then(|last| recorded.get(last));
    batch.mark = last.map(mark).unwrap_or_default();
    Ok(batch)
}

/// The events after a position, at most `limit`.
pub(crate) async fn read(log: Arc<dyn EventLog>, after: u64, limit: usize) -> Result<Batch, FeedError> {
    let recorded = log.read(after, limit).await?;
    let full = recorded.len() >= limit;
    if recorded.len() <= DECODE_INLINE_MAX {
        return decode(after, &recorded, full);
    }
    let decoding = tokio::task::spawn_blocking(move || decode(after, &recorded, full));
    decoding.await.map_err(FeedError::Decoder)?
}

/// Reads the log batch by batch. While a full batch is written, the next one is read and decoded.
pub(crate) struct Feed {
    log: Arc<dyn EventLog>,
    /// How many events come to [`BATCH_BYTES`], going by the last batch.
    most: usize,
    ahead: Option<(u64, JoinHandle<Result<Batch, FeedError>>)>,
}

impl Feed {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, most: usize::MAX, ahead: None }
    }

    /// The events after a position, at most `limit`.
    pub(crate) async fn next(&mut self, after: u64, limit: usize) -> Result<Batch, FeedError> {
        let asked = limit.min(self.most);
        let batch = match self.ahead.take() {
            Some((at, mut handle)) if at == after => (&mut handle).await.map_err(FeedError::Decoder)??,
            stale => {
                if let Some((_, handle)) = stale {
                    handle.abort();
                }
                read(Arc::clone(&self.log), after, asked).await?
            }
        };
        let each = batch.bytes / batch.events.len().max(1);
        self.most = BATCH_BYTES.checked_div(each).unwrap_or(usize::MAX).max(BATCH_MIN);
        if let Some(last) = batch.last().filter(|_| batch.full) {
            let ahead = tokio::spawn(read(Arc::clone(&self.log), last, limit.min(self.most)));
            self.ahead = Some((last, ahead));
        }
        Ok(batch)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some((_, handle)) = self.ahead.take() {
            handle.abort();
        }
    }
}
