//! The command bus: group commit over hydrated aggregates.
//!
//! Aggregates are hashed to a few shards. Each shard owns a bounded cache of aggregate state and drains its bounded
//! queue in batches: all commands of a batch are decided on cached state, all events go into the log in one append, and
//! then everybody is answered. The busier, the larger the batch.

mod any;
mod cache;
mod decision;
mod hydrate;
mod shard;

pub use any::{Aggregate, Command};

use crate::{
    codec::{Event, Streamed},
    error::{AppError, ErrorClass},
    ports::{Clock, EventLog, StreamId},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use verbatim_domain::{MemberId, RoomId, member::Member, room::Room};

/// Most commands that wait in one shard; one more is answered `overloaded` at once.
pub const QUEUE_MAX: usize = 4_096;
/// Most commands of one batch.
pub const BATCH_MAX: usize = 512;
/// How often a batch that lost a race for a stream is decided again before its commands are answered `conflict`.
pub const CONFLICT_RETRIES: usize = 8;
/// How long a caller waits for an answer. Later, the outcome is unknown to it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Most shards; more only make batches smaller, for the log commits one at a time anyway.
const SHARDS_MAX: usize = 8;

/// What the bus tells about itself, for metrics. Called on the hot path: implementations must not block.
pub trait BusObserver: Send + Sync + 'static {
    /// A command was answered after `latency`, counted from its submission.
    fn answered(&self, command: &'static str, outcome: &'static str, latency: Duration);
    /// A batch of `commands` led to `events` events; the append took `append`.
    fn committed(&self, commands: usize, events: usize, append: Duration);
    /// A command found the queue full.
    fn overloaded(&self);
    /// A batch lost a race for a stream and is decided again.
    fn conflicted(&self);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl BusObserver for Unobserved {
    fn answered(&self, _: &'static str, _: &'static str, _: Duration) {}
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn overloaded(&self) {}
    fn conflicted(&self) {}
}

/// A claim to be the only command with its key, in the whole log and forever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key with its scope (whose key it is).
    pub key: String,
    /// Hash of what is asked for: the same key with another one is a conflict.
    pub content_hash: String,
}

/// One command to one aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which aggregate.
    pub stream: StreamId,
    /// What it is asked.
    pub command: Command,
    /// The caller has just issued the id, so there is nothing to load.
    pub fresh: bool,
    /// Whether it must happen once only; its first event carries the key.
    pub idempotency: Option<Idempotency>,
}

/// What is to be done, all or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Who asks.
    pub actor: Option<MemberId>,
    /// In which request.
    pub correlation_id: Option<String>,
}

/// What became of a step: it is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// The events, in the order of the log; empty if what was wanted held already.
    pub events: Vec<Event>,
    /// A log position that includes them.
    pub position: u64,
    /// It had been done before, under the same idempotency key: `events` holds the first event of that time.
    pub repeated: bool,
}

/// One result a step, or why nothing was done.
type Answer = Result<Vec<Executed>, AppError>;
/// Looks at an aggregate; `false` asks to be called once more, with the newest state, as `last`.
type Inspector = Box<dyn FnMut(Result<&Aggregate, AppError>, Inspection) -> bool + Send>;

/// What an inspector is told beside the state.
#[derive(Debug, Clone, Copy)]
struct Inspection {
    /// Sequence of the last event in the state.
    sequence: u64,
    /// The state is fresh from the log: answer now.
    last: bool,
}

enum Job {
    Execute { intent: Intent, reply: oneshot::Sender<Answer>, since: Instant },
    Inspect { stream: StreamId, inspector: Inspector },
}

/// An intent that is queued; the answer comes when it is durable.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Answer>);

impl Pending {
    /// Waits for the answer, at most [`ANSWER_LIMIT`].
    ///
    /// # Errors
    /// The rejection; or `unavailable`, in which case the caller may try again with the same idempotency key.
    pub async fn wait(self) -> Result<Vec<Executed>, AppError> {
        match tokio::time::timeout(ANSWER_LIMIT, self.0).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(closed)) => Err(AppError::unavailable("the service is stopping", closed)),
            Err(elapsed) => Err(AppError::unavailable("the event log did not answer in time", elapsed)),
        }
    }

    /// Waits for the answer of an intent of one step, or of its first step.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn wait_first(self) -> Result<Executed, AppError> {
        self.wait().await?.into_iter().next().ok_or_else(|| AppError::internal("an intent without steps"))
    }
}

/// The way to every aggregate. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    shards: Arc<[mpsc::Sender<Job>]>,
    observer: Arc<dyn BusObserver>,
}

/// The shards at work; ends when every [`Bus`] is dropped and all that was accepted is answered.
pub struct BusTasks(JoinSet<()>);

impl BusTasks {
    /// Waits until all that was accepted is answered.
    pub async fn finished(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl Bus {
    /// Starts the shards on the current runtime.
    #[must_use]
    pub fn start(
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn BusObserver>,
    ) -> (Self, BusTasks) {
        let count = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, SHARDS_MAX);
        let mut tasks = JoinSet::new();
        let shards = (0..count)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(QUEUE_MAX);
                tasks.spawn(shard::Shard::new(log.clone(), clock.clone(), observer.clone()).run(receiver));
                sender
            })
            .collect();
        (Self { shards, observer }, BusTasks(tasks))
    }

    fn shard(&self, stream: &StreamId) -> Option<&mpsc::Sender<Job>> {
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let shards = u64::try_from(self.shards.len()).ok()?;
        self.shards.get(usize::try_from(hasher.finish().checked_rem(shards)?).ok()?)
    }

    fn enqueue(&self, stream: &StreamId, job: Job) -> Result<(), AppError> {
        let shard = self.shard(stream).ok_or_else(|| AppError::internal("the bus has no shards"))?;
        shard.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.observer.overloaded();
                AppError::new(
                    ErrorClass::Overloaded,
                    "overloaded",
                    "too many commands are waiting; try again",
                )
            }
            mpsc::error::TrySendError::Closed(_) => {
                AppError::unavailable("the service is stopping", "the command bus is closed")
            }
        })
    }

    /// Queues an intent without waiting. Intents for one aggregate are decided in the order of their submission.
    ///
    /// # Errors
    /// `overloaded` when the queue is full: nothing was done.
    pub fn submit(&self, intent: Intent) -> Result<Pending, AppError> {
        // The last step names the aggregate that is contended for; those before it have fresh ids.
        let route = intent.steps.last().ok_or_else(|| AppError::internal("an intent without steps"))?.stream;
        let (reply, answer) = oneshot::channel();
        self.enqueue(&route, Job::Execute { intent, reply, since: Instant::now() })?;
        Ok(Pending(answer))
    }

    /// Queues an intent and waits until it is durable; gives the result of its first step.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Pending::wait`].
    pub async fn execute(&self, intent: Intent) -> Result<Executed, AppError> {
        self.submit(intent)?.wait_first().await
    }

    /// Looks at the durable state of an aggregate. A refusal by `look` is repeated on the newest state in the log
    /// before it counts, for another node may have written meanwhile.
    async fn inspect<R: Send + 'static>(
        &self,
        stream: StreamId,
        mut look: impl FnMut(&Aggregate, u64) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        let (reply, answer) = oneshot::channel();
        let mut reply = Some(reply);
        let inspector: Inspector = Box::new(move |state, inspection| {
            let result = match state {
                Ok(aggregate) => match look(aggregate, inspection.sequence) {
                    Err(_) if !inspection.last => return false,
                    result => result,
                },
                Err(error) => Err(error),
            };
            if let Some(reply) = reply.take() {
                // Nobody waits any more: nothing to tell.
                let _ = reply.send(result);
            }
            true
        });
        self.enqueue(&stream, Job::Inspect { stream, inspector })?;
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(closed)) => Err(AppError::unavailable("the service is stopping", closed)),
            Err(elapsed) => Err(AppError::unavailable("the event log did not answer in time", elapsed)),
        }
    }

    /// Looks at a room; `look` also gets the sequence of its last event.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn room<R: Send + 'static>(
        &self,
        room: RoomId,
        mut look: impl FnMut(&Room, u64) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect(room.stream(), move |aggregate, sequence| match aggregate {
            Aggregate::Room(room) => look(room, sequence),
            _ => Err(AppError::internal("a room stream holds another aggregate")),
        })
        .await
    }

    /// Looks at an account.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn member<R: Send + 'static>(
        &self,
        member: MemberId,
        mut look: impl FnMut(&Member) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect(member.stream(), move |aggregate, _| match aggregate {
            Aggregate::Member(member) => look(member),
            _ => Err(AppError::internal("a member stream holds another aggregate")),
        })
        .await
    }

    /// Whose an e-mail address is.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn email_owner(&self, id: verbatim_domain::EmailId) -> Result<Option<MemberId>, AppError> {
        self.inspect(id.stream(), |aggregate, _| match aggregate {
            Aggregate::Email(email) => Ok(email.owner()),
            _ => Err(AppError::internal("an e-mail stream holds another aggregate")),
        })
        .await
    }
}
