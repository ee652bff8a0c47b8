//! Group commit: a batch is decided, appended at once, and only then answered. A lost race is run again.

use super::{
    BATCH_STEPS_MAX, CONFLICT_RETRIES,
    decision::{Draft, Verdict, repeated_only, settle},
    hydrate::{LoadError, load_failure},
    limits::TURN_AFTER,
    shard::{Shard, Waiting},
    tell::Append,
};
use crate::{
    error::{AppError, ErrorClass, causes},
    ports::{AppendError, StreamId, Turn},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// A batch that another writer came before.
struct Lost {
    batch: Vec<Waiting>,
    /// The streams it wanted to append to, with the sequences it thought they had.
    bases: HashMap<StreamId, u64>,
}

/// Cuts a batch where an append of it would be too large.
fn parts(batch: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut parts = Vec::with_capacity(1);
    let (mut part, mut size) = (Vec::with_capacity(batch.len()), 0);
    for waiting in batch {
        let steps = waiting.intent.steps.len();
        if size + steps > BATCH_STEPS_MAX && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            size = 0;
        }
        size += steps;
        part.push(waiting);
    }
    parts.push(part);
    parts
}

impl Shard {
    /// Executes a batch: answers everybody in it.
    pub(super) async fn execute(&mut self, batch: Vec<Waiting>) {
        // A stack, at most one deeper for each retry: what is on top goes first.
        let mut todo: Vec<_> = parts(batch).into_iter().rev().map(|part| (part, 0)).collect();
        while let Some((batch, attempts)) = todo.pop() {
            if batch.is_empty() {
                continue;
            }
            let turn = if attempts < TURN_AFTER { None } else { self.take_turn(&batch).await };
            let last = attempts == CONFLICT_RETRIES;
            let Some(lost) = self.attempt(batch, last, turn.as_ref()).await else { continue };
            self.observer.conflicted();
            if let Some((calm, contended)) = self.split(lost).await {
                todo.push((contended, attempts + 1));
                todo.push((calm, attempts + 1));
            }
        }
    }

    /// Makes the other writers wait, and brings what the batch stands on up to date. Without a turn it is tried all the
    /// same: it may win this time.
    async fn take_turn(&mut self, batch: &[Waiting]) -> Option<Turn> {
        let turn = match self.log.turn().await {
            Ok(turn) => turn?,
            Err(error) => {
                tracing::warn!(error = causes(&error), "no turn at the event log");
                return None;
            }
        };
        let streams: HashSet<StreamId> =
            batch.iter().flat_map(|waiting| &waiting.intent.steps).map(|step| step.stream).collect();
        let known = streams.into_iter().map(|stream| (stream, self.cache.remove(&stream))).collect();
        // What could not be read is missing in the cache, and the attempt itself says so.
        let _ = self.load_all(known).await;
        Some(turn)
    }

    /// Splits a batch that lost a race into those whose aggregates nobody else has written to and the rest, so that a
    /// room that is fought over holds up nobody else. The order within each aggregate is kept.
    async fn split(&mut self, Lost { batch, bases }: Lost) -> Option<(Vec<Waiting>, Vec<Waiting>)> {
        if let Err(error) = self.load_all(bases.keys().map(|stream| (*stream, None)).collect()).await {
            self.fail(batch, || load_failure(&error));
            return None;
        }
        let mut moved: HashSet<StreamId> = bases
            .into_iter()
            .filter(|(stream, base)| self.cache.get(stream).is_none_or(|cached| cached.sequence != *base))
            .map(|(stream, _)| stream)
            .collect();
        // One that waits makes all behind it wait that share an aggregate with it.
        Some(batch.into_iter().partition(|waiting| {
            let steps = &waiting.intent.steps;
            let calm = !steps.iter().any(|step| moved.contains(&step.stream));
            if !calm {
                moved.extend(steps.iter().map(|step| step.stream));
            }
            calm
        }))
    }

    /// One try at a batch; gives it back if another writer was first and it is worth another try.
    async fn attempt(&mut self, batch: Vec<Waiting>, last: bool, turn: Option<&Turn>) -> Option<Lost> {
        let mut draft = Draft::default();
        let began = Instant::now();
        let found = match self.find_repeats(&batch).await {
            Ok(found) => found,
            Err(error) => {
                let error = Arc::new(LoadError::from(error));
                self.fail(batch, || load_failure(&error));
                return None;
            }
        };
        if let Err(error) = self.hydrate(&batch, &mut draft).await {
            self.fail(batch, || load_failure(&error));
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
            let now = self.clock.now();
            match turn {
                Some(turn) => self.log.append_in_turn(turn, events, snapshots, now).await,
                None => self.log.append(events, snapshots, now).await,
            }
            .map(Some)
        };
        match appended {
            Ok(appended) => {
                if let Some(appended) = appended {
                    self.log_works();
                    let (first, took) = (appended.first_position, started.elapsed());
                    self.observer.committed(batch.len(), count, took);
                    self.position = self.position.max(first + count as u64 - 1);
                    self.tell(Append { first, events: count, began, took }, &batch, &verdicts);
                }
                for stream in draft.dirty.into_keys() {
                    self.touch(stream);
                    if let Some(cached) = self.cache.get(&stream) {
                        cached.checked = started;
                    }
                }
                let first_position = appended.map_or(0, |a| a.first_position);
                for (waiting, verdict) in batch.into_iter().zip(verdicts) {
                    self.answer(waiting, settle(verdict, first_position, self.position));
                }
                None
            }
            Err(error) => {
                for stream in draft.dirty.keys() {
                    self.cache.remove(stream);
                }
                if matches!(error, AppendError::Conflict) && !last {
                    return Some(Lost { batch, bases: draft.dirty });
                }
                self.fail_standing(batch, verdicts, error);
                None
            }
        }
    }

    /// Once an outage, not once a batch: whoever is refused for it is told, and logged where they are answered.
    fn log_fails(&self, what: &str, error: &str) {
        if !self.log_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "{what}; trying again with each command");
        }
    }

    fn log_works(&self) {
        if self.log_away.load(Ordering::Relaxed) && self.log_away.swap(false, Ordering::Relaxed) {
            tracing::info!("the event log takes events again");
        }
    }

    /// After a failed append: answers from earlier commits stand, everything else fails.
    fn fail_standing(&self, batch: Vec<Waiting>, verdicts: Vec<Verdict>, error: AppendError) {
        let (detail, source) = match error {
            AppendError::Conflict => (None, String::new()),
            AppendError::Unavailable(source) => {
                let source = causes(source.as_ref());
                self.log_fails("the event log takes no events", &source);
                (Some("the event log takes no events now"), source)
            }
            AppendError::Unknown(source) => {
                let source = causes(source.as_ref());
                self.log_fails("it is not known whether the event log took events", &source);
                (
                    Some("it is not known whether this was done; try again with the same idempotency key"),
                    source,
                )
            }
        };
        for (waiting, verdict) in batch.into_iter().zip(verdicts) {
            let answer = verdict.ok().and_then(repeated_only).ok_or_else(|| match detail {
                Some(detail) => AppError::unavailable(detail, source.clone()),
                None => AppError::new(
                    ErrorClass::Conflict,
                    "concurrent_change",
                    "others changed this at the same time, again and again; try once more",
                ),
            });
            self.answer(waiting, answer);
        }
    }
}
