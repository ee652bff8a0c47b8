//! Bringing aggregates into a shard's cache, and up to date with the log.

use super::{
    Intent,
    any::Aggregate,
    cache::Cached,
    decision::{Draft, claims},
    shard::{Shard, Waiting},
};
use crate::{
    codec::{DecodeError, Event},
    error::{AppError, causes},
    ports::{EventLog, LogError, NewSnapshot, READ_BATCH_MAX, RecordedEvent, StreamId},
};
use futures_util::{StreamExt, stream};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Aggregates that are loaded side by side.
const LOADS_AT_ONCE: usize = 16;

/// Why an aggregate can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The log can't be read now: no stream can.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An event of this stream can't be read by this program, now or later.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An event of this stream is missing.
    #[error("{stream} has event {found} where event {expected} should be")]
    Hole { stream: StreamId, expected: u64, found: u64 },
    /// There is no such kind of aggregate.
    #[error("no aggregate is called {0}")]
    UnknownType(&'static str),
}

/// What callers are told; one reason may answer many.
pub(super) fn load_failure(error: &Arc<LoadError>) -> AppError {
    let source = error.clone();
    match **error {
        LoadError::Log(_) => AppError::unavailable("the event log can't be read now", source),
        LoadError::Decode(_) | LoadError::Hole { .. } | LoadError::UnknownType(_) => {
            AppError::internal(source)
        }
    }
}

/// What came of loading one aggregate.
struct Loaded {
    stream: StreamId,
    /// The aggregate, as far as it could be read.
    cached: Option<Cached>,
    /// Position of the last event that was read, 0 for none.
    position: u64,
    result: Result<(), LoadError>,
}

/// First results of commands that were done before, by key.
pub(super) async fn find_repeats(
    log: Arc<dyn EventLog>,
    intents: impl Iterator<Item = &Intent> + Send,
) -> Result<HashMap<String, RecordedEvent>, LogError> {
    let keys: HashSet<&String> = intents.flat_map(claims).map(|claim| &claim.key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let found = log.find_by_idempotency_keys(keys.into_iter().cloned().collect()).await?;
    Ok(found.into_iter().filter_map(|event| Some((event.idempotency_key.clone()?, event))).collect())
}

impl Shard {
    /// Loads what the batch needs and the cache does not hold. A stream that is damaged is noted in the draft, and
    /// harms only those who need it.
    pub(super) async fn hydrate(
        &mut self,
        batch: &[Waiting],
        draft: &mut Draft,
    ) -> Result<(), Arc<LoadError>> {
        let mut missing = HashSet::new();
        for step in batch.iter().flat_map(|w| &w.intent.steps) {
            if self.cache.contains(&step.stream) {
                continue;
            }
            if step.fresh
                && let Some(state) = Aggregate::empty(step.stream.aggregate_type)
            {
                self.keep(step.stream, Cached::new(state, 0, 0));
                draft.newest.insert(step.stream);
            } else {
                missing.insert(step.stream);
            }
        }
        draft.newest.extend(&missing);
        draft.damaged = self.load_all(missing.into_iter().map(|stream| (stream, None)).collect()).await?;
        Ok(())
    }

    /// Loads streams side by side, each on from what is known of it. Gives those that are damaged.
    pub(super) async fn load_all(
        &mut self,
        streams: Vec<(StreamId, Option<Cached>)>,
    ) -> Result<HashMap<StreamId, Arc<LoadError>>, Arc<LoadError>> {
        let log = self.log.clone();
        let mut loads = stream::iter(streams)
            .map(|(stream, known)| load(log.as_ref(), stream, known))
            .buffer_unordered(LOADS_AT_ONCE);
        let mut damaged = HashMap::new();
        while let Some(loaded) = loads.next().await {
            let stream = loaded.stream;
            match self.take_in(loaded) {
                Ok(()) => {}
                // The others would wait for nothing.
                Err(error @ LoadError::Log(_)) => return Err(Arc::new(error)),
                Err(error) => {
                    tracing::error!(error = causes(&error), "stream {stream} can't be read");
                    damaged.insert(stream, Arc::new(error));
                }
            }
        }
        Ok(damaged)
    }

    fn take_in(&mut self, loaded: Loaded) -> Result<(), LoadError> {
        self.position = self.position.max(loaded.position);
        if let Some(cached) = loaded.cached {
            self.keep(loaded.stream, cached);
        }
        loaded.result
    }

    /// Brings the aggregates of an intent up to date with the log.
    pub(super) async fn refresh(&mut self, intent: &Intent, draft: &mut Draft) -> Result<(), AppError> {
        for step in &intent.steps {
            // State with events of this very batch can't be refreshed; if it is stale, the append will say so.
            if !draft.is_sure_of(&step.stream) {
                let known = self.cache.remove(&step.stream);
                let loaded = load(self.log.as_ref(), step.stream, known).await;
                self.take_in(loaded).map_err(|error| load_failure(&Arc::new(error)))?;
                draft.newest.insert(step.stream);
            }
        }
        Ok(())
    }

    /// Snapshots that are due for what this batch changed; they travel in its append.
    pub(super) fn due_snapshots(&mut self, draft: &Draft) -> Vec<NewSnapshot> {
        let mut due = Vec::new();
        for stream in draft.dirty.keys() {
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
                Err(error) => tracing::error!(%error, "stream {stream} can't be made a snapshot of"),
            }
        }
        due
    }
}

/// Reads a stream on from `known`, or from its newest snapshot.
async fn load(log: &dyn EventLog, stream: StreamId, known: Option<Cached>) -> Loaded {
    let mut loaded = Loaded { stream, cached: known, position: 0, result: Ok(()) };
    loaded.result = read_on(log, &mut loaded).await;
    loaded
}

async fn read_on(log: &dyn EventLog, loaded: &mut Loaded) -> Result<(), LoadError> {
    let stream = loaded.stream;
    // Known state is put back also when it can't be brought up to date: it is old then, and not wrong.
    let known = loaded.cached.is_some();
    let mut cached = match loaded.cached.take() {
        Some(cached) => cached,
        None => match from_snapshot(log, stream).await? {
            Some((cached, position)) => {
                loaded.position = position;
                cached
            }
            None => {
                let unknown = LoadError::UnknownType(stream.aggregate_type);
                Cached::new(Aggregate::empty(stream.aggregate_type).ok_or(unknown)?, 0, 0)
            }
        },
    };
    let result = catch_up(log, stream, &mut cached, &mut loaded.position).await;
    if result.is_ok() || known {
        loaded.cached = Some(cached);
    }
    result
}

async fn catch_up(
    log: &dyn EventLog,
    stream: StreamId,
    cached: &mut Cached,
    position: &mut u64,
) -> Result<(), LoadError> {
    let asked = std::time::Instant::now();
    loop {
        let events = log.load(stream, cached.sequence, READ_BATCH_MAX).await?;
        for recorded in &events {
            let (expected, found) = (cached.sequence + 1, recorded.sequence);
            if found != expected {
                return Err(LoadError::Hole { stream, expected, found });
            }
            cached.state.evolve(&Event::decode(recorded)?);
            cached.sequence = found;
            *position = recorded.position;
        }
        if events.len() < READ_BATCH_MAX {
            cached.checked = asked;
            return Ok(());
        }
    }
}

/// The newest snapshot with the position of its event, if it can be used: of today's version and shape, and of an
/// event that is in the log, for the log may have been put back to an older state.
async fn from_snapshot(log: &dyn EventLog, stream: StreamId) -> Result<Option<(Cached, u64)>, LoadError> {
    let Some(snapshot) = log.load_snapshot(stream).await? else { return Ok(None) };
    let Some(state) = Aggregate::from_snapshot(stream.aggregate_type, &snapshot.payload) else {
        return Ok(None);
    };
    let Some(before) = snapshot.sequence.checked_sub(1) else { return Ok(None) };
    let event = log.load(stream, before, 1).await?.into_iter().find(|e| e.sequence == snapshot.sequence);
    Ok(event.map(|event| (Cached::new(state, snapshot.sequence, snapshot.sequence), event.position)))
}
