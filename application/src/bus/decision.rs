//! What a batch comes to: deciding intents on cached state, before anything is in the log.

use super::{
    Executed, Idempotency, Intent, Step, cache::Cached, hydrate::log_unavailable_text, shard::Shard,
};
use crate::{
    codec::{Event, Metadata},
    error::{AppError, ErrorClass},
    ports::{NewEvent, RecordedEvent, StreamId},
};
use std::collections::{HashMap, HashSet, hash_map::Entry};

/// What a batch comes to, before it is in the log.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) events: Vec<NewEvent>,
    pub(super) dirty: HashSet<StreamId>,
    /// Streams that were looked up in the log for this batch, so that their state is the newest.
    pub(super) fresh: HashSet<StreamId>,
}

/// What a step comes to.
pub(super) enum Outcome {
    /// Events `first..first + events.len()` of the draft are its.
    Decided { first: usize, events: Vec<Event> },
    /// It was done before.
    Repeated(Executed),
}

/// What an intent comes to. A refusal holds only if what it stands on becomes durable.
pub(super) type Verdict = Result<Vec<Outcome>, AppError>;

impl Shard {
    pub(super) async fn decide(
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

pub(super) fn settle(
    verdict: Verdict,
    first_position: u64,
    position: u64,
) -> Result<Vec<Executed>, AppError> {
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
pub(super) fn repeated_only(outcomes: Vec<Outcome>) -> Result<Vec<Executed>, AppError> {
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

pub(super) fn not_hydrated() -> AppError {
    AppError::internal("an aggregate that was loaded is not in the cache")
}
