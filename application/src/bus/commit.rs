//! Group commit: a batch is decided, appended at once, and only then answered. A lost race is run again.

use super::{
    BATCH_STEPS_MAX, CONFLICT_RETRIES,
    contended::split,
    decision::{Draft, Verdict, repeated_only, settle},
    hydrate::{LoadError, find_repeats, load_failure},
    limits::TURN_AFTER,
    shard::{Shard, Waiting},
    tell::Append,
};
use crate::{
    error::{AppError, ErrorClass, causes},
    ports::{AppendError, RecordedEvent, StreamId, Turn},
};
use futures_util::future::join;
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

/// A turn at the log, with what was read in it.
struct Begun {
    turn: Turn,
    /// See [`find_repeats`].
    found: HashMap<String, RecordedEvent>,
    /// The batch's streams; nobody else writes to them before the turn ends.
    newest: HashSet<StreamId>,
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
        // A stack, at most two deeper for each retry: what is on top goes first.
        let mut todo = Vec::new();
        for part in parts(batch).into_iter().rev() {
            let (calm, contended) = self.contended.split(part);
            todo.push((contended, 0, true));
            todo.push((calm, 0, false));
        }
        while let Some((batch, attempts, contended)) = todo.pop() {
            if batch.is_empty() {
                continue;
            }
            let turn = if contended { self.take_turn(&batch).await } else { None };
            let last = attempts == CONFLICT_RETRIES;
            let Some(lost) = self.attempt(batch, last, turn).await else { continue };
            self.observer.conflicted();
            let attempts = attempts + 1;
            if let Some((calm, moved)) = self.sort_out(lost, attempts >= TURN_AFTER).await {
                todo.push((moved, attempts, attempts >= TURN_AFTER));
                todo.push((calm, attempts, false));
            }
        }
    }

    /// Makes the other writers wait, and brings what the batch stands on up to date. Without a turn it is tried all the
    /// same: it may win this time.
    async fn take_turn(&mut self, batch: &[Waiting]) -> Option<Begun> {
        let turn = match self.log.turn().await {
            Ok(Some(turn)) => turn,
            Ok(None) => {
                self.contended.clear();
                return None;
            }
            Err(error) => {
                tracing::warn!(error = causes(&error), "no turn at the event log");
                return None;
            }
        };
        let newest: HashSet<StreamId> =
            batch.iter().flat_map(|waiting| &waiting.intent.steps).map(|step| step.stream).collect();
        let known: Vec<_> = newest.iter().map(|stream| (*stream, self.cache.remove(stream))).collect();
        let before: Vec<_> =
            known.iter().filter_map(|(stream, known)| Some((*stream, known.as_ref()?.sequence))).collect();
        let repeats = find_repeats(self.log.clone(), batch.iter().map(|waiting| &waiting.intent));
        // What could not be read is missing, and the attempt itself says so.
        let (found, loaded) = join(repeats, self.load_all(known)).await;
        loaded.ok()?;
        let moved = before.into_iter().filter(|(stream, sequence)| self.is_beyond(stream, *sequence));
        let moved: Vec<_> = moved.map(|(stream, _)| stream).collect();
        self.contended.mark(moved);
        Some(Begun { turn, found: found.ok()?, newest })
    }

    fn is_beyond(&mut self, stream: &StreamId, sequence: u64) -> bool {
        self.cache.get(stream).is_none_or(|cached| cached.sequence != sequence)
    }

    /// Splits a batch that lost a race into those whose aggregates nobody else has written to and the rest.
    async fn sort_out(
        &mut self,
        Lost { batch, bases }: Lost,
        again: bool,
    ) -> Option<(Vec<Waiting>, Vec<Waiting>)> {
        if let Err(error) = self.load_all(bases.keys().map(|stream| (*stream, None)).collect()).await {
            self.fail(batch, || load_failure(&error));
            return None;
        }
        let moved = bases.into_iter().filter(|(stream, base)| self.is_beyond(stream, *base));
        let moved: HashSet<StreamId> = moved.map(|(stream, _)| stream).collect();
        if again {
            self.contended.mark(moved.iter().copied());
        }
        Some(split(batch, moved))
    }

    /// One try at a batch; gives it back if another writer was first and it is worth another try.
    async fn attempt(&mut self, batch: Vec<Waiting>, last: bool, begun: Option<Begun>) -> Option<Lost> {
        let mut draft = Draft::default();
        let began = Instant::now();
        let (turn, found) = match begun {
            Some(Begun { turn, found, newest }) => {
                draft.newest = newest;
                (Some(turn), Ok(found))
            }
            None => (None, find_repeats(self.log.clone(), batch.iter().map(|waiting| &waiting.intent)).await),
        };
        let found = match found {
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
