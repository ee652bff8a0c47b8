//! One shard: drains its queue in batches, decides, appends once, answers all.

use super::{
    BusObserver, CONFLICT_RETRIES, Executed, Inspection, Inspector, Intent, Job, Limits,
    cache::Cache,
    decision::{Draft, Verdict, claims, not_hydrated, repeated_only, settle},
    hydrate::log_unavailable_text,
};
use crate::{
    error::{AppError, ErrorClass},
    ports::{AppendError, Clock, EventLog, StreamId},
};
use std::{collections::HashSet, sync::Arc, time::Instant};
use tokio::sync::{mpsc, oneshot};

pub(super) struct Waiting {
    pub(super) intent: Intent,
    reply: oneshot::Sender<Result<Vec<Executed>, AppError>>,
    since: Instant,
}

pub(super) struct Shard {
    pub(super) limits: Limits,
    pub(super) log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn BusObserver>,
    pub(super) cache: Cache,
    /// A position that includes everything this shard has answered.
    position: u64,
}

impl Shard {
    pub(super) fn new(
        limits: Limits,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn BusObserver>,
    ) -> Self {
        Self { limits, log, clock, observer, cache: Cache::new(limits.cache_weight), position: 0 }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let batch = self.limits.batch.max(1);
        let mut jobs = Vec::with_capacity(batch);
        while queue.recv_many(&mut jobs, batch).await > 0 {
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
