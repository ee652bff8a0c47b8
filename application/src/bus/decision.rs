//! What a batch comes to: deciding intents on cached state, before anything is in the log.

use super::{
    Executed, Idempotency, Intent, Step,
    cache::Cached,
    hydrate::{LoadError, find_repeats, load_failure},
    shard::Shard,
};
use crate::{
    codec::{Event, Metadata},
    error::{AppError, ErrorClass},
    ports::{NewEvent, RecordedEvent, StreamId},
};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

/// What a batch comes to, before it is in the log.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) events: Vec<NewEvent>,
    /// Streams with events in here, with the sequence of their last event before.
    pub(super) dirty: HashMap<StreamId, u64>,
    /// Streams that were looked up in the log for this batch, so that their state is the newest.
    pub(super) newest: HashSet<StreamId>,
    /// Streams that can't be read, each with the reason.
    pub(super) damaged: HashMap<StreamId, Arc<LoadError>>,
    /// Idempotency keys of events in here, with the index of the event.
    claimed: HashMap<String, usize>,
}

impl Draft {
    /// Whether a refusal may stand on a stream's state: it is the newest, or it has events in here, and then the
    /// append itself will say if it is not.
    pub(super) fn is_sure_of(&self, stream: &StreamId) -> bool {
        self.newest.contains(stream) || self.dirty.contains_key(stream)
    }
}

/// What a step comes to.
pub(super) enum Outcome {
    /// Events `first..first + events.len()` of the draft are its.
    Decided { first: usize, events: Vec<Event> },
    /// It was done before.
    Repeated(Executed),
    /// A command of the same batch does it; event `index` of the draft is its first.
    InBatch { index: usize, event: Event },
}

/// What an intent comes to. A refusal holds only if what it stands on becomes durable.
pub(super) type Verdict = Result<Vec<Outcome>, AppError>;

/// Whether a verdict says that there is nothing to do, which another node may know better.
fn is_doubtful(verdict: &Verdict) -> bool {
    let nothing = |outcome: &Outcome| matches!(outcome, Outcome::Decided { events, .. } if events.is_empty());
    verdict.as_ref().map_or(true, |outcomes| outcomes.iter().any(nothing))
}

impl Shard {
    pub(super) async fn decide(
        &mut self,
        intent: &Intent,
        found: &HashMap<String, RecordedEvent>,
        draft: &mut Draft,
    ) -> Verdict {
        let sure = intent.steps.iter().all(|step| draft.is_sure_of(&step.stream));
        let refusal = match self.try_decide(intent, found, draft, sure) {
            Some(Err(error)) if claims(intent).next().is_some() => Some(error),
            Some(verdict) => return verdict,
            None => {
                self.refresh(intent, draft).await?;
                None
            }
        };
        // What it is refused for may be its own doing: the same command at another node, done after the keys were looked
        // for and before the state was read.
        let again = find_repeats(self.log.clone(), std::iter::once(intent)).await;
        let again = again.map_err(|error| load_failure(&Arc::new(error.into())))?;
        match refusal {
            Some(refusal) if again.is_empty() => Err(refusal),
            _ => {
                let found = if again.is_empty() { found } else { &again };
                self.try_decide(intent, found, draft, true).unwrap_or_else(|| Err(not_hydrated()))
            }
        }
    }

    /// Decides all steps, each on the state that those before it lead to; only if all agree, their events are
    /// taken in. `None` if the verdict is a refusal, or that what was wanted holds already, and it is not `sure` that
    /// the state is the newest: another node may have changed what it stands on. Nothing is taken in then.
    fn try_decide(
        &mut self,
        intent: &Intent,
        found: &HashMap<String, RecordedEvent>,
        draft: &mut Draft,
        sure: bool,
    ) -> Option<Verdict> {
        if let [step] = intent.steps.as_slice() {
            // Nearly all intents: nothing can refuse after it, so it is decided on the cached state itself.
            let verdict = match self.cache.get(&step.stream) {
                Some(cached) => take_step(intent, step, found, cached, draft).map(|outcome| vec![outcome]),
                None => Err(unknown_state(&step.stream, draft)),
            };
            return (sure || !is_doubtful(&verdict)).then_some(verdict);
        }
        let before = draft.events.len();
        let clean: Vec<StreamId> = intent
            .steps
            .iter()
            .map(|step| step.stream)
            .filter(|stream| !draft.dirty.contains_key(stream))
            .collect();
        let mut changed: HashMap<StreamId, Cached> = HashMap::new();
        let verdict = self.take_steps(intent, found, draft, &mut changed);
        let doubtful = is_doubtful(&verdict);
        if verdict.is_err() || (doubtful && !sure) {
            draft.events.truncate(before);
            for stream in clean {
                draft.dirty.remove(&stream);
            }
            for claim in claims(intent) {
                if let Entry::Occupied(claimed) = draft.claimed.entry(claim.key.clone())
                    && *claimed.get() >= before
                {
                    claimed.remove();
                }
            }
        } else {
            for (stream, cached) in changed {
                self.keep(stream, cached);
            }
        }
        (sure || !doubtful).then_some(verdict)
    }

    /// Decides the steps one after the other, on copies.
    fn take_steps(
        &mut self,
        intent: &Intent,
        found: &HashMap<String, RecordedEvent>,
        draft: &mut Draft,
        changed: &mut HashMap<StreamId, Cached>,
    ) -> Verdict {
        let mut outcomes = Vec::with_capacity(intent.steps.len());
        for step in &intent.steps {
            let cached = match changed.entry(step.stream) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => match self.cache.get(&step.stream) {
                    Some(cached) => entry.insert(cached.clone()),
                    None => return Err(unknown_state(&step.stream, draft)),
                },
            };
            outcomes.push(take_step(intent, step, found, cached, draft)?);
        }
        Ok(outcomes)
    }
}

pub(super) fn claims(intent: &Intent) -> impl Iterator<Item = &Idempotency> {
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
    if let Some(claim) = &step.idempotency {
        if let Some(first) = found.get(&claim.key) {
            return Ok(Outcome::Repeated(repeat(first, &claim.content_hash)?));
        }
        if let Some((index, first)) =
            draft.claimed.get(&claim.key).and_then(|index| Some((*index, draft.events.get(*index)?)))
        {
            check_content(&first.metadata, &claim.content_hash)?;
            return Ok(Outcome::InBatch { index, event: Event::of_new(first).map_err(AppError::internal)? });
        }
    }
    let events = cached.state.decide(&step.command)?;
    let mut encoded = Vec::with_capacity(events.len());
    let mut claim = step.idempotency.as_ref();
    for event in &events {
        let claim = claim.take();
        encoded.push((event.encode().map_err(AppError::internal)?, metadata(intent, claim)?, claim));
    }
    let first = draft.events.len();
    if !events.is_empty() {
        draft.dirty.entry(step.stream).or_insert(cached.sequence);
    }
    for (event, (encoded, metadata, claim)) in events.iter().zip(encoded) {
        cached.sequence += 1;
        cached.state.evolve(event);
        if let Some(claim) = claim {
            draft.claimed.insert(claim.key.clone(), draft.events.len());
        }
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
    Ok(Outcome::Decided { first, events })
}

/// What a verdict means once the draft is in the log, from `first_position` on; `position` includes all else.
pub(super) fn settle(
    verdict: Verdict,
    first_position: u64,
    position: u64,
) -> Result<Vec<Executed>, AppError> {
    let executed = verdict?.into_iter().map(|outcome| match outcome {
        Outcome::Repeated(executed) => executed,
        Outcome::InBatch { index, event } => {
            Executed { events: vec![event], position: first_position + index as u64, repeated: true }
        }
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
pub(super) fn repeated_only(outcomes: Vec<Outcome>) -> Option<Vec<Executed>> {
    let repeated = |outcome| match outcome {
        Outcome::Repeated(executed) => Some(executed),
        Outcome::Decided { .. } | Outcome::InBatch { .. } => None,
    };
    outcomes.into_iter().map(repeated).collect()
}

/// The first result of a command again, if it asked for the same.
///
/// # Errors
/// `idempotency_key_reused`
pub(crate) fn repeat(first: &RecordedEvent, content_hash: &str) -> Result<Executed, AppError> {
    check_content(&first.metadata, content_hash)?;
    let event = Event::decode(first).map_err(AppError::internal)?;
    Ok(Executed { events: vec![event], position: first.position, repeated: true })
}

/// Checks that a key's first command asked for the same.
fn check_content(metadata: &str, content_hash: &str) -> Result<(), AppError> {
    let metadata: Metadata = serde_json::from_str(metadata).map_err(AppError::internal)?;
    if metadata.content_hash.as_deref() == Some(content_hash) {
        return Ok(());
    }
    Err(AppError::new(
        ErrorClass::Conflict,
        "idempotency_key_reused",
        "this idempotency key was used for something else",
    ))
}

fn metadata(intent: &Intent, claim: Option<&Idempotency>) -> Result<String, AppError> {
    serde_json::to_string(&Metadata {
        actor: intent.actor,
        correlation_id: intent.correlation_id.clone(),
        causation_id: intent.trace.map(|trace| trace.span_id().to_string()),
        traceparent: intent.trace,
        content_hash: claim.map(|claim| claim.content_hash.clone()),
    })
    .map_err(AppError::internal)
}

fn unknown_state(stream: &StreamId, draft: &Draft) -> AppError {
    draft.damaged.get(stream).map_or_else(not_hydrated, load_failure)
}

pub(super) fn not_hydrated() -> AppError {
    AppError::internal("an aggregate that was loaded is not in the cache")
}
