//! Bringing aggregates into a shard's cache, and keeping them short to read: loads, refreshes, snapshots.

use super::{
    Intent,
    any::Aggregate,
    cache::Cached,
    decision::{Draft, claims},
    shard::{Shard, Waiting},
};
use crate::{
    codec::Event,
    error::AppError,
    ports::{EventLog, LogError, NewSnapshot, READ_BATCH_MAX, RecordedEvent, StreamId},
};
use futures_util::{StreamExt, stream};
use std::collections::{HashMap, HashSet};

/// Aggregates that are loaded side by side.
const LOADS_AT_ONCE: usize = 16;

impl Shard {
    /// First results of commands that were done before, by key.
    pub(super) async fn find_repeats(
        &self,
        batch: &[Waiting],
    ) -> Result<HashMap<String, RecordedEvent>, LogError> {
        let keys: Vec<String> =
            batch.iter().flat_map(|w| claims(&w.intent)).map(|claim| claim.key.clone()).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.log.find_by_idempotency_keys(keys).await?;
        Ok(found.into_iter().filter_map(|event| Some((event.idempotency_key.clone()?, event))).collect())
    }

    /// Loads what the batch needs and the cache does not hold.
    pub(super) async fn hydrate(&mut self, batch: &[Waiting], draft: &mut Draft) -> Result<(), LogError> {
        let mut missing = HashSet::new();
        for step in batch.iter().flat_map(|w| &w.intent.steps) {
            if self.cache.contains(&step.stream) {
                continue;
            }
            if step.fresh {
                if let Some(state) = Aggregate::empty(step.stream.aggregate_type) {
                    self.cache.put(step.stream, Cached::new(state, 0, 0));
                }
            } else {
                missing.insert(step.stream);
            }
        }
        let log = &self.log;
        let mut loads = stream::iter(missing)
            .map(|stream| async move { (stream, load(log.as_ref(), stream, None).await) })
            .buffer_unordered(LOADS_AT_ONCE);
        let mut loaded = Vec::new();
        while let Some((stream, cached)) = loads.next().await {
            loaded.push((stream, cached?));
        }
        drop(loads);
        for (stream, cached) in loaded {
            draft.fresh.insert(stream);
            self.cache.put(stream, cached);
        }
        Ok(())
    }
    /// Brings the aggregates of an intent up to date with the log; says whether that changed any.
    pub(super) async fn refresh(&mut self, intent: &Intent, draft: &mut Draft) -> Result<bool, LogError> {
        let mut changed = false;
        for step in &intent.steps {
            // State with events of this very batch can't be refreshed; if it is stale, the append will say so.
            if !draft.dirty.contains(&step.stream) && draft.fresh.insert(step.stream) {
                changed |= self.reload(step.stream).await?;
            }
        }
        Ok(changed)
    }

    /// Takes in what was appended to a stream since it was cached.
    pub(super) async fn reload(&mut self, stream: StreamId) -> Result<bool, LogError> {
        let known = self.cache.get(&stream).cloned();
        let before = known.as_ref().map_or(0, |cached| cached.sequence);
        let cached = load(self.log.as_ref(), stream, known).await?;
        let changed = cached.sequence != before;
        self.cache.put(stream, cached);
        Ok(changed)
    }

    /// Snapshots that are due for what this batch changed; they travel in its append.
    pub(super) fn due_snapshots(&mut self, draft: &Draft) -> Vec<NewSnapshot> {
        let mut due = Vec::new();
        for stream in &draft.dirty {
            let Some(cached) = self.cache.get(stream) else { continue };
            let every = self.limits.snapshot_every.max(4 * cached.state.weight() as u64);
            if cached.sequence - cached.snapshot_at < every {
                continue;
            }
            match cached.state.to_snapshot() {
                Ok(payload) => {
                    cached.snapshot_at = cached.sequence;
                    due.push(NewSnapshot { stream: *stream, sequence: cached.sequence, payload });
                }
                Err(error) => tracing::error!(%stream, %error, "an aggregate can't be made a snapshot of"),
            }
        }
        due
    }
}

/// Reads a stream on from `known`, or from its newest snapshot.
async fn load(log: &dyn EventLog, stream: StreamId, known: Option<Cached>) -> Result<Cached, LogError> {
    let mut cached = match known {
        Some(cached) => cached,
        None => {
            let empty = Aggregate::empty(stream.aggregate_type).ok_or_else(|| {
                LogError(format!("no aggregate is called {}", stream.aggregate_type).into())
            })?;
            match log.load_snapshot(stream).await? {
                Some(snapshot) => match Aggregate::from_snapshot(&snapshot.payload) {
                    Some(state) => Cached::new(state, snapshot.sequence, snapshot.sequence),
                    None => Cached::new(empty, 0, 0),
                },
                None => Cached::new(empty, 0, 0),
            }
        }
    };
    loop {
        let events = log.load(stream, cached.sequence, READ_BATCH_MAX).await?;
        for recorded in &events {
            let event = Event::decode(recorded).map_err(|error| LogError(Box::new(error)))?;
            cached.state.evolve(&event);
            cached.sequence = recorded.sequence;
        }
        if events.len() < READ_BATCH_MAX {
            return Ok(Cached::new(cached.state, cached.sequence, cached.snapshot_at));
        }
    }
}
pub(super) fn log_unavailable_text(error: &LogError) -> AppError {
    AppError::unavailable("the event log can't be read now", format!("{error}: {}", error.0))
}
