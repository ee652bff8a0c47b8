//! One shard: drains its queue in batches, decides, appends once, answers all.

use super::{
    BATCH_MAX, BusObserver, CONFLICT_RETRIES, Executed, Idempotency, Inspection, Inspector, Intent, Job,
    Step,
    any::Aggregate,
    cache::{Cache, Cached},
};
use crate::{
    codec::{Event, Metadata},
    error::{AppError, ErrorClass},
    ports::{
        AppendError, Clock, EventLog, LogError, NewEvent, NewSnapshot, READ_BATCH_MAX, RecordedEvent,
        StreamId,
    },
};
use futures_util::{StreamExt, stream};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Instant,
};
use tokio::sync::{mpsc, oneshot};

/// A snapshot is due this many events after the last one, or four times the aggregate's weight if that is more: what
/// snapshots cost stays a small share of what events cost, also in a room of many members.
const SNAPSHOT_EVERY: u64 = 1_000;
/// Aggregates that are loaded side by side.
const LOADS_AT_ONCE: usize = 16;

struct Waiting {
    intent: Intent,
    reply: oneshot::Sender<Result<Vec<Executed>, AppError>>,
    since: Instant,
}

/// What a batch comes to, before it is in the log.
#[derive(Default)]
struct Draft {
    events: Vec<NewEvent>,
    dirty: HashSet<StreamId>,
    /// Streams that were looked up in the log for this batch, so that their state is the newest.
    fresh: HashSet<StreamId>,
}

/// What a step comes to.
enum Outcome {
    /// Events `first..first + events.len()` of the draft are its.
    Decided { first: usize, events: Vec<Event> },
    /// It was done before.
    Repeated(Executed),
}

/// What an intent comes to. A refusal holds only if what it stands on becomes durable.
type Verdict = Result<Vec<Outcome>, AppError>;

pub(super) struct Shard {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn BusObserver>,
    cache: Cache,
    /// A position that includes everything this shard has answered.
    position: u64,
}

impl Shard {
    pub(super) fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, observer: Arc<dyn BusObserver>) -> Self {
        Self { log, clock, observer, cache: Cache::new(), position: 0 }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut jobs, BATCH_MAX).await > 0 {
            let (mut waiting, mut inspections) = (Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                match job {
                    Job::Execute { intent, reply, since } => waiting.push(Waiting { intent, reply, since }),
                    Job::Inspect { stream, inspector } => inspections.push((stream, inspector)),
                }
            }
            while !waiting.is_empty() {
                waiting = self.execute(waiting).await;
            }
            // After the commit: nobody is shown state that is not durable.
            for (stream, inspector) in inspections {
                self.inspect(stream, inspector).await;
            }
        }
    }

    /// Executes a batch; gives back the commands that must wait for its outcome: repeats of a key within it.
    async fn execute(&mut self, batch: Vec<Waiting>) -> Vec<Waiting> {
        let mut keys = HashSet::new();
        let (mut batch, repeats): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| {
            let new = claims(&waiting.intent).all(|claim| !keys.contains(&claim.key));
            if new {
                keys.extend(claims(&waiting.intent).map(|claim| claim.key.clone()));
            }
            new
        });
        for attempt in 0..=CONFLICT_RETRIES {
            match self.attempt(batch, attempt == CONFLICT_RETRIES).await {
                None => return repeats,
                Some(again) => batch = again,
            }
            self.observer.conflicted();
        }
        repeats
    }

    /// One try at a batch; gives it back if another writer was first and it is worth another try.
    async fn attempt(&mut self, batch: Vec<Waiting>, last: bool) -> Option<Vec<Waiting>> {
        let mut draft = Draft::default();
        let found = match self.find_repeats(&batch).await {
            Ok(found) => found,
            Err(error) => {
                self.fail(batch, || log_unavailable_text(&error));
                return None;
            }
        };
        if let Err(error) = self.hydrate(&batch, &mut draft).await {
            self.fail(batch, || log_unavailable_text(&error));
            return None;
        }
        let mut verdicts = Vec::with_capacity(batch.len());
        for waiting in &batch {
            verdicts.push(self.decide(&waiting.intent, &found, &mut draft).await);
        }
        let snapshots = self.due_snapshots(&draft);
        let events = std::mem::take(&mut draft.events);
        let count = events.len();
        let started = Instant::now();
        let appended = if events.is_empty() {
            Ok(None)
        } else {
            self.log.append(events, snapshots, self.clock.now()).await.map(Some)
        };
        match appended {
            Ok(appended) => {
                if let Some(appended) = appended {
                    self.observer.committed(batch.len(), count, started.elapsed());
                    self.position = self.position.max(appended.first_position + count as u64 - 1);
                }
                self.cache.settle(draft.dirty.iter().chain(&draft.fresh));
                // What held already was written by somebody, somewhere up to the head.
                self.position = self.position.max(*self.log.head_hint().borrow());
                let first_position = appended.map_or(0, |a| a.first_position);
                for (waiting, verdict) in batch.into_iter().zip(verdicts) {
                    self.answer(waiting, settle(verdict, first_position, self.position));
                }
                None
            }
            Err(error) => {
                for stream in &draft.dirty {
                    self.cache.remove(stream);
                }
                match error {
                    AppendError::Conflict if !last => return Some(batch),
                    AppendError::Conflict => {
                        self.fail_standing(batch, verdicts, || {
                            AppError::new(
                                ErrorClass::Conflict,
                                "concurrent_change",
                                "others changed this at the same time, again and again; try once more",
                            )
                        });
                    }
                    AppendError::Unavailable(source) => {
                        let source = source.to_string();
                        tracing::error!(
                            error = source,
                            commands = batch.len(),
                            "the event log took no events"
                        );
                        self.fail_standing(batch, verdicts, || {
                            AppError::unavailable("the event log takes no events now", source.clone())
                        });
                    }
                    AppendError::Unknown(source) => {
                        let source = source.to_string();
                        tracing::error!(
                            error = source,
                            commands = batch.len(),
                            "an append has no known outcome"
                        );
                        self.fail_standing(batch, verdicts, || {
                            AppError::unavailable(
                                "it is not known whether this was done; try again with the same idempotency key",
                                source.clone(),
                            )
                        });
                    }
                }
                None
            }
        }
    }

    /// First results of commands that were done before, by key.
    async fn find_repeats(&self, batch: &[Waiting]) -> Result<HashMap<String, RecordedEvent>, LogError> {
        let keys: Vec<String> =
            batch.iter().flat_map(|w| claims(&w.intent)).map(|claim| claim.key.clone()).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.log.find_by_idempotency_keys(keys).await?;
        Ok(found.into_iter().filter_map(|event| Some((event.idempotency_key.clone()?, event))).collect())
    }

    /// Loads what the batch needs and the cache does not hold.
    async fn hydrate(&mut self, batch: &[Waiting], draft: &mut Draft) -> Result<(), LogError> {
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

    async fn decide(
        &mut self,
        intent: &Intent,
        found: &HashMap<String, RecordedEvent>,
        draft: &mut Draft,
    ) -> Verdict {
        match self.try_decide(intent, found, draft) {
            Ok(outcomes) => Ok(outcomes),
            // Another node may have changed what the rejection stands on: look before saying no.
            Err(rejection) => match self.refresh(intent, draft).await {
                Ok(true) => self.try_decide(intent, found, draft),
                Ok(false) => Err(rejection),
                Err(error) => Err(log_unavailable_text(&error)),
            },
        }
    }

    /// Decides all steps, each on the state that those before it lead to; only if all agree, their events are
    /// taken in.
    fn try_decide(
        &mut self,
        intent: &Intent,
        found: &HashMap<String, RecordedEvent>,
        draft: &mut Draft,
    ) -> Verdict {
        if let [step] = intent.steps.as_slice() {
            // Nearly all intents: nothing can refuse after it, so it is decided on the cached state itself.
            let cached = self.cache.get(&step.stream).ok_or_else(not_hydrated)?;
            return Ok(vec![take_step(intent, step, found, cached, draft)?]);
        }
        let mut changed: HashMap<StreamId, Cached> = HashMap::new();
        let before = draft.events.len();
        let mut outcomes = Vec::with_capacity(intent.steps.len());
        for step in &intent.steps {
            let cached = match changed.entry(step.stream) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert(self.cache.get(&step.stream).ok_or_else(not_hydrated)?.clone())
                }
            };
            match take_step(intent, step, found, cached, draft) {
                Ok(outcome) => outcomes.push(outcome),
                Err(rejection) => {
                    // A stream stays in `dirty` for nothing then, which only costs a reload if the append fails.
                    draft.events.truncate(before);
                    return Err(rejection);
                }
            }
        }
        for (stream, cached) in changed {
            self.cache.put(stream, cached);
        }
        Ok(outcomes)
    }

    /// Brings the aggregates of an intent up to date with the log; says whether that changed any.
    async fn refresh(&mut self, intent: &Intent, draft: &mut Draft) -> Result<bool, LogError> {
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
    async fn reload(&mut self, stream: StreamId) -> Result<bool, LogError> {
        let known = self.cache.get(&stream).cloned();
        let before = known.as_ref().map_or(0, |cached| cached.sequence);
        let cached = load(self.log.as_ref(), stream, known).await?;
        let changed = cached.sequence != before;
        self.cache.put(stream, cached);
        Ok(changed)
    }

    /// Snapshots that are due for what this batch changed; they travel in its append.
    fn due_snapshots(&mut self, draft: &Draft) -> Vec<NewSnapshot> {
        let mut due = Vec::new();
        for stream in &draft.dirty {
            let Some(cached) = self.cache.get(stream) else { continue };
            let every = SNAPSHOT_EVERY.max(4 * cached.state.weight() as u64);
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

    async fn inspect(&mut self, stream: StreamId, mut inspector: Inspector) {
        if let Some(cached) = self.cache.get(&stream) {
            let inspection = Inspection { sequence: cached.sequence, last: false };
            if inspector(Ok(&cached.state), inspection) {
                return;
            }
        }
        let last = |sequence| Inspection { sequence, last: true };
        match self.reload(stream).await {
            Ok(_) => match self.cache.get(&stream) {
                Some(cached) => inspector(Ok(&cached.state), last(cached.sequence)),
                None => inspector(Err(not_hydrated()), last(0)),
            },
            Err(error) => inspector(Err(log_unavailable_text(&error)), last(0)),
        };
        self.cache.settle([stream].iter());
    }

    fn answer(&self, waiting: Waiting, answer: Result<Vec<Executed>, AppError>) {
        let name = waiting.intent.steps.first().map_or("none", |step| step.command.name());
        let outcome = match &answer {
            Ok(executed) if executed.iter().all(|step| step.repeated) => "repeated",
            Ok(_) => "ok",
            Err(error) if matches!(error.class, ErrorClass::Unavailable | ErrorClass::Internal) => "failed",
            Err(_) => "rejected",
        };
        self.observer.answered(name, outcome, waiting.since.elapsed());
        // The caller may have gone; what was done stays done.
        let _ = waiting.reply.send(answer);
    }

    fn fail(&self, batch: Vec<Waiting>, error: impl Fn() -> AppError) {
        for waiting in batch {
            self.answer(waiting, Err(error()));
        }
    }

    /// After a failed append: answers from earlier commits stand, everything else fails.
    fn fail_standing(&self, batch: Vec<Waiting>, verdicts: Vec<Verdict>, error: impl Fn() -> AppError) {
        for (waiting, verdict) in batch.into_iter().zip(verdicts) {
            let answer = match verdict.and_then(repeated_only) {
                Ok(executed) => Ok(executed),
                Err(_) => Err(error()),
            };
            self.answer(waiting, answer);
        }
    }
}

fn claims(intent: &Intent) -> impl Iterator<Item = &Idempotency> {
    intent.steps.iter().filter_map(|step| step.idempotency.as_ref())
}

/// Decides one step and takes its events into the state and the draft; on a refusal both stay as they are.
fn take_step(
    intent: &Intent,
    step: &Step,
    found: &HashMap<String, RecordedEvent>,
    cached: &mut Cached,
    draft: &mut Draft,
) -> Result<Outcome, AppError> {
    if let Some(claim) = &step.idempotency
        && let Some(first) = found.get(&claim.key)
    {
        return Ok(Outcome::Repeated(repeat(first, &claim.content_hash)?));
    }
    let events = cached.state.decide(&step.command)?;
    let mut encoded = Vec::with_capacity(events.len());
    let mut claim = step.idempotency.as_ref();
    for event in &events {
        let claim = claim.take();
        encoded.push((event.encode().map_err(AppError::internal)?, metadata(intent, claim)?, claim));
    }
    let first = draft.events.len();
    for (event, (encoded, metadata, claim)) in events.iter().zip(encoded) {
        cached.sequence += 1;
        cached.state.evolve(event);
        draft.events.push(NewEvent {
            stream: step.stream,
            sequence: cached.sequence,
            event_type: encoded.event_type,
            event_version: encoded.event_version,
            payload: encoded.payload,
            metadata,
            idempotency_key: claim.map(|claim| claim.key.clone()),
        });
    }
    if !events.is_empty() {
        draft.dirty.insert(step.stream);
    }
    Ok(Outcome::Decided { first, events })
}

fn settle(verdict: Verdict, first_position: u64, position: u64) -> Result<Vec<Executed>, AppError> {
    let executed = verdict?.into_iter().map(|outcome| match outcome {
        Outcome::Repeated(executed) => executed,
        Outcome::Decided { events, .. } if events.is_empty() => {
            Executed { events, position, repeated: false }
        }
        Outcome::Decided { first, events } => {
            let position = first_position + (first + events.len()) as u64 - 1;
            Executed { events, position, repeated: false }
        }
    });
    Ok(executed.collect())
}

/// The results of an intent that was done before as a whole, and needs nothing of this batch.
fn repeated_only(outcomes: Vec<Outcome>) -> Result<Vec<Executed>, AppError> {
    let repeated = |outcome| match outcome {
        Outcome::Repeated(executed) => Ok(executed),
        Outcome::Decided { .. } => Err(not_hydrated()),
    };
    outcomes.into_iter().map(repeated).collect()
}

/// The first result of a command again, if it asked for the same.
fn repeat(first: &RecordedEvent, content_hash: &str) -> Result<Executed, AppError> {
    let metadata: Metadata = serde_json::from_str(&first.metadata).map_err(AppError::internal)?;
    if metadata.content_hash.as_deref() != Some(content_hash) {
        return Err(AppError::new(
            ErrorClass::Conflict,
            "idempotency_key_reused",
            "this idempotency key was used for something else",
        ));
    }
    let event = Event::decode(first).map_err(AppError::internal)?;
    Ok(Executed { events: vec![event], position: first.position, repeated: true })
}

fn metadata(intent: &Intent, claim: Option<&Idempotency>) -> Result<String, AppError> {
    serde_json::to_string(&Metadata {
        actor: intent.actor,
        correlation_id: intent.correlation_id.clone(),
        content_hash: claim.map(|claim| claim.content_hash.clone()),
    })
    .map_err(AppError::internal)
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

fn not_hydrated() -> AppError {
    AppError::internal("an aggregate that was loaded is not in the cache")
}

fn log_unavailable_text(error: &LogError) -> AppError {
    AppError::unavailable("the event log can't be read now", format!("{error}: {}", error.0))
}
