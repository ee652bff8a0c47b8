//! One shard: drains its queue in turns, and survives whatever happens in one.

use super::{
    BusObserver, Executed, Job, Limits,
    cache::{Cache, Cached},
    contended::Contended,
    home,
    inspect::Inspector,
    intent::Intent,
};
use crate::{
    error::{AppError, ErrorClass},
    ports::{Clock, EventLog, StreamId},
};
use futures_util::FutureExt;
use std::{
    collections::HashSet,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};
use tokio::sync::{mpsc, oneshot};

/// A command that waits for its answer.
pub(super) struct Waiting {
    pub(super) intent: Intent,
    reply: oneshot::Sender<Result<Vec<Executed>, AppError>>,
    pub(super) since: Instant,
}

impl Waiting {
    /// The name of its command, of the first if there are several.
    pub(super) fn name(&self) -> &'static str {
        self.intent.steps.first().map_or("none", |step| step.command.name())
    }
}

/// A look that waits for its turn.
pub(super) struct Looking {
    pub(super) stream: StreamId,
    /// Only the newest state in the log will do.
    pub(super) newest: bool,
    pub(super) inspector: Inspector,
}

pub(super) struct Shard {
    pub(super) limits: Limits,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn BusObserver>,
    pub(super) cache: Cache,
    pub(super) contended: Contended,
    /// A position that includes everything this shard knows of.
    pub(super) position: u64,
    /// The last append of any shard has failed.
    pub(super) log_away: Arc<AtomicBool>,
    /// Which of the shards this is.
    index: usize,
    /// Streams whose place in the cache is to be settled at the end of the turn.
    touched: HashSet<StreamId>,
}

impl Shard {
    pub(super) fn new(
        index: usize,
        limits: Limits,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn BusObserver>,
        log_away: Arc<AtomicBool>,
    ) -> Self {
        let cache = Cache::new(limits.cache_weight);
        Self {
            limits,
            log,
            clock,
            observer,
            cache,
            contended: Contended::default(),
            position: 0,
            log_away,
            index,
            touched: HashSet::new(),
        }
    }

    /// Works until all senders are gone and the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let batch = self.limits.batch.max(1);
        let mut jobs = Vec::with_capacity(batch);
        while queue.recv_many(&mut jobs, batch).await > 0 {
            let (mut waiting, mut looking) = (Vec::new(), Vec::new());
            let now = Instant::now();
            for job in jobs.drain(..) {
                match job {
                    Job::Execute { intent, reply, since } => {
                        self.observer.waited(now.duration_since(since));
                        waiting.push(Waiting { intent, reply, since });
                    }
                    Job::Inspect(look) => looking.push(look),
                }
            }
            if AssertUnwindSafe(self.turn(waiting, looking)).catch_unwind().await.is_err() {
                // The panic itself was reported by the hook. Whoever waited hears that the outcome is unknown, for
                // it may have come after the append; what is in memory may be half changed, and is read again.
                tracing::error!("a batch of commands panicked; its outcome is unknown");
                self.cache = Cache::new(self.limits.cache_weight);
                self.touched.clear();
                self.observer.panicked();
            }
        }
    }

    async fn turn(&mut self, waiting: Vec<Waiting>, looking: Vec<Looking>) {
        self.execute(waiting).await;
        // After the commit: nobody is shown state that is not durable.
        self.inspect(looking).await;
        self.settle();
    }

    /// Keeps an aggregate, at least until the turn ends.
    pub(super) fn keep(&mut self, stream: StreamId, cached: Cached) {
        self.touched.insert(stream);
        self.cache.put(stream, cached);
    }

    /// Notes that an aggregate has changed in the cache.
    pub(super) fn touch(&mut self, stream: StreamId) {
        self.touched.insert(stream);
    }

    fn settle(&mut self) {
        // Intents of several steps bring in aggregates that live in other shards: here they would soon be stale.
        for stream in &self.touched {
            if home(stream, self.limits.shards) != self.index {
                self.cache.remove(stream);
            }
        }
        self.cache.settle(self.touched.drain());
    }

    pub(super) fn answer(&self, waiting: Waiting, answer: Result<Vec<Executed>, AppError>) {
        let outcome = match &answer {
            Ok(executed) if executed.iter().all(|step| step.repeated) => "repeated",
            Ok(_) => "ok",
            Err(error) if matches!(error.class, ErrorClass::Unavailable | ErrorClass::Internal) => "failed",
            Err(_) => "rejected",
        };
        self.observer.answered(waiting.name(), outcome, waiting.since.elapsed());
        // The caller may have gone; what was done stays done.
        let _ = waiting.reply.send(answer);
    }

    pub(super) fn fail(&self, batch: Vec<Waiting>, error: impl Fn() -> AppError) {
        for waiting in batch {
            self.answer(waiting, Err(error()));
        }
    }
}
