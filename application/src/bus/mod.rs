//! The command bus: group commit over hydrated aggregates.
//!
//! Aggregates are hashed to a few shards. Each shard owns a bounded cache of aggregate state and drains its bounded
//! queue in batches: all commands of a batch are decided on cached state, all events go into the log in one append, and
//! then everybody is answered. The busier, the larger the batch.

mod any;
mod cache;
mod commit;
mod contended;
mod decision;
mod hydrate;
mod inspect;
mod intent;
mod limits;
mod observer;
mod shard;
mod tell;

pub use any::{Aggregate, Command};
pub(crate) use decision::repeat;
pub use intent::{Executed, Idempotency, Intent, Pending, Step};
pub use limits::{
    ANSWER_LIMIT, BATCH_MAX, BATCH_STEPS_MAX, CACHE_WEIGHT_MAX, CONFLICT_RETRIES, INSPECTION_TRUST, Limits,
    QUEUE_MAX, SNAPSHOT_EVERY, STEPS_MAX,
};
pub use observer::{BusObserver, Traced, Unobserved};

use crate::{
    error::{AppError, ErrorClass},
    ports::{Clock, EventLog, StreamId},
};
use intent::Answer;
use shard::{Looking, Shard};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

enum Job {
    Execute { intent: Intent, reply: oneshot::Sender<Answer>, since: Instant },
    Inspect(Looking),
}

/// The shard that an aggregate lives in.
fn home(stream: &StreamId, shards: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    stream.hash(&mut hasher);
    // The remainder is less than `shards`, and so fits.
    hasher.finish().checked_rem(shards as u64).map_or(0, |index| index as usize)
}

/// The way to every aggregate. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    shards: Arc<[mpsc::Sender<Job>]>,
    observer: Arc<dyn BusObserver>,
}

/// The shards at work: they stop when every [`Bus`] is dropped and all that was accepted is answered. Dropping this stops
/// them at once.
#[must_use = "the shards stop when this is dropped"]
pub struct BusTasks(JoinSet<()>);

impl BusTasks {
    /// Waits until all that was accepted is answered.
    pub async fn finished(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl Bus {
    /// Starts the shards on the current runtime, within the default limits.
    pub fn start(
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn BusObserver>,
    ) -> (Self, BusTasks) {
        Self::start_within(Limits::default(), log, clock, observer)
    }

    /// Starts the shards on the current runtime.
    pub fn start_within(
        limits: Limits,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn BusObserver>,
    ) -> (Self, BusTasks) {
        let limits = Limits { shards: limits.shards.max(1), ..limits };
        let mut tasks = JoinSet::new();
        let log_away = Arc::new(AtomicBool::new(false));
        let shards = (0..limits.shards)
            .map(|index| {
                let (sender, receiver) = mpsc::channel(limits.queue.max(1));
                let (log, clock) = (log.clone(), clock.clone());
                let shard = Shard::new(index, limits, log, clock, observer.clone(), log_away.clone());
                tasks.spawn(shard.run(receiver));
                sender
            })
            .collect();
        (Self { shards, observer }, BusTasks(tasks))
    }

    fn shard(&self, stream: &StreamId) -> Option<&mpsc::Sender<Job>> {
        self.shards.get(home(stream, self.shards.len()))
    }

    fn enqueue(&self, stream: &StreamId, job: Job) -> Result<(), AppError> {
        let shard = self.shard(stream).ok_or_else(no_shards)?;
        shard.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => self.refuse_overload(),
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })
    }

    /// Queues an intent without waiting. Intents for one aggregate are decided in the order of their submission; those
    /// of several aggregates wait in the queue of the last one, and have no order with what waits for the others.
    ///
    /// # Errors
    /// `overloaded` when the queue is full, `too_large` for more than [`STEPS_MAX`] steps: nothing was done.
    pub fn submit(&self, intent: Intent) -> Result<Pending, AppError> {
        let route = route(&intent)?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(&route, Job::Execute { intent, reply, since: Instant::now() })?;
        Ok(Pending(answer))
    }

    /// Queues an intent, waiting at most `limit` for room in the queue: for callers that can make their client wait.
    ///
    /// # Errors
    /// `overloaded` when the queue stayed full, `too_large` as with [`Self::submit`]: nothing was done.
    pub async fn submit_within(&self, intent: Intent, limit: Duration) -> Result<Pending, AppError> {
        let shard = self.shard(&route(&intent)?).ok_or_else(no_shards)?;
        let (reply, answer) = oneshot::channel();
        let job = Job::Execute { intent, reply, since: Instant::now() };
        match shard.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(job)) => {
                shard.send_timeout(job, limit).await.map_err(|error| match error {
                    mpsc::error::SendTimeoutError::Timeout(_) => self.refuse_overload(),
                    mpsc::error::SendTimeoutError::Closed(_) => stopping(),
                })?;
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(stopping()),
        }
        Ok(Pending(answer))
    }

    fn refuse_overload(&self) -> AppError {
        self.observer.overloaded();
        AppError::new(ErrorClass::Overloaded, "overloaded", "too many commands are waiting; try again")
    }

    /// Queues an intent and waits until it is durable; gives the result of its first step.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Pending::wait`].
    pub async fn execute(&self, intent: Intent) -> Result<Executed, AppError> {
        self.submit(intent)?.wait_first().await
    }
}

/// The aggregate whose queue an intent waits in: that of the last step, for it is the one contended for, and those
/// before it often have fresh ids.
fn route(intent: &Intent) -> Result<StreamId, AppError> {
    if intent.steps.len() > STEPS_MAX {
        return Err(AppError::new(
            ErrorClass::TooLarge,
            "too_large",
            format!("at most {STEPS_MAX} things can be done as one"),
        ));
    }
    intent.steps.last().map(|step| step.stream).ok_or_else(|| AppError::internal("an intent without steps"))
}

fn no_shards() -> AppError {
    AppError::internal("the bus has no shards")
}

fn stopping() -> AppError {
    AppError::unavailable("the service is stopping", "the command bus is closed")
}
