//! A few connections that many callers use in turn.
//!
//! Not sqlx's pool: that one asks each connection for a sign of life when it is given back, and waits for it without limit,
//! so a network that swallows packets takes one connection after the other from it until nobody gets any; and it asks
//! again before each use. This one closes what did not end well, and asks only who has been idle for a while.

use super::{
    connect::{ConnectError, Target},
    error,
};
use futures_util::future::BoxFuture;
use sqlx::{
    Connection, Executor, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
};
use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, error::Elapsed, timeout},
};

/// How long a call waits for its turn and a connection that works.
pub const READY_LIMIT: Duration = Duration::from_secs(4);
/// How long a statement's answer is waited for once it is sent; longer than the server works on it.
pub const ANSWER_LIMIT: Duration = Duration::from_millis(5_500);
/// Calls that may be under way or wait at once, for each pool; more are refused.
pub const CALL_QUEUE: usize = 1_024;
/// A connection that was idle for this long is asked for a sign of life before it is used: what is sent into a dead one
/// has an unknown fate.
const FRESH: Duration = Duration::from_millis(500);
/// How long a sign of life may take, and making a statement known.
const PING_LIMIT: Duration = Duration::from_secs(1);

/// A query with its parameters.
pub(crate) type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Too many wait already.
    #[error("{CALL_QUEUE} calls wait already")]
    QueueFull,
    /// All connections were in use all the time, or those that were free dead.
    #[error("no connection was free within {READY_LIMIT:?}")]
    NoTurn,
    /// There was none and none could be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server did not answer; what it did is not known.
    #[error("PostgreSQL did not answer within {ANSWER_LIMIT:?}")]
    NoAnswer,
    /// The statement failed, or the connection.
    #[error("PostgreSQL failed: {0}")]
    Failed(#[from] sqlx::Error),
}

/// How many connections a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// That are open.
    pub size: usize,
    /// Of these, that nobody uses.
    pub idle: usize,
    /// That calls hold now, opening included.
    pub in_use: usize,
    /// Calls under way, those that wait for a connection included.
    pub calls: usize,
}

/// The connections; they are opened when first needed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    target: Target,
    connections: usize,
    calls: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    // The std lock: it is held for a push or a pop, never across an await.
    idle: Mutex<Vec<Idle>>,
    open: Arc<AtomicUsize>,
}

struct Idle {
    live: Live,
    since: Instant,
}

/// A connection that is counted.
struct Live {
    connection: PgConnection,
    open: Arc<AtomicUsize>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// At most `connections` at once.
    pub(crate) fn new(target: Target, connections: usize) -> Self {
        let connections = connections.max(1);
        Self(Arc::new(Shared {
            target,
            connections,
            calls: Arc::new(Semaphore::new(CALL_QUEUE)),
            turns: Arc::new(Semaphore::new(connections)),
            idle: Mutex::default(),
            open: Arc::default(),
        }))
    }

    /// How many there are now.
    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
            size: self.0.open.load(Ordering::Relaxed),
            idle: self.lock().len(),
            in_use: self.0.connections - self.0.turns.available_permits(),
            calls: CALL_QUEUE - self.0.calls.available_permits(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a connection, within [`READY_LIMIT`].
    pub(crate) async fn lend(&self) -> Result<Lent, CallError> {
        let call = Arc::clone(&self.0.calls).try_acquire_owned().map_err(|_| CallError::QueueFull)?;
        let ready = async {
            let turn = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|_| CallError::NoTurn)?;
            let (live, reused) = match self.reuse().await {
                Some(live) => (live, true),
                None => (self.open().await?, false),
            };
            Ok(Lent { pool: self.clone(), live, reused, _call: call, _turn: turn })
        };
        timeout(READY_LIMIT, ready).await.unwrap_or(Err(CallError::NoTurn))
    }

    async fn reuse(&self) -> Option<Live> {
        let Idle { mut live, since } = self.lock().pop()?;
        if since.elapsed() < FRESH {
            return Some(live);
        }
        match timeout(PING_LIMIT, live.connection.ping()).await {
            Ok(Ok(())) => Some(live),
            _ => {
                self.forget_idle();
                None
            }
        }
    }

    async fn open(&self) -> Result<Live, ConnectError> {
        let connection = self.0.target.connect().await?;
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Ok(Live { connection, open: Arc::clone(&self.0.open) })
    }

    /// Closes the idle connections: whatever broke one has most likely broken all, and each would cost somebody a call.
    fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }

    /// Runs `work` on a connection, within [`READY_LIMIT`] and [`ANSWER_LIMIT`]. If this future is dropped, or fails, the
    /// work may be done all the same.
    pub(crate) async fn call<T>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T, CallError> {
        let mut lent = self.lend().await?;
        let outcome = timeout(ANSWER_LIMIT, work(&mut lent)).await;
        lent.end(outcome)
    }

    /// Runs a query that changes nothing, in the same time; once more if a connection that had been open turns out broken.
    pub(crate) async fn read(&self, query: impl Fn() -> Query) -> Result<Vec<PgRow>, CallError> {
        let reading = async {
            match self.read_once(query()).await {
                (true, Err(CallError::Failed(why))) if !error::is_answer(&why) => {
                    self.read_once(query()).await.1
                }
                (_, done) => done,
            }
        };
        timeout(READY_LIMIT + ANSWER_LIMIT, reading).await.unwrap_or(Err(CallError::NoAnswer))
    }

    /// Also says whether the connection had been used before.
    async fn read_once(&self, query: Query) -> (bool, Result<Vec<PgRow>, CallError>) {
        let mut lent = match self.lend().await {
            Ok(lent) => lent,
            Err(error) => return (false, Err(error)),
        };
        let reused = lent.reused;
        let outcome = timeout(ANSWER_LIMIT, query.fetch_all(&mut *lent)).await;
        (reused, lent.end(outcome))
    }
}

/// A connection on loan. Dropped without [`Self::end`], it is closed: nobody knows what it is in the middle of.
pub(crate) struct Lent {
    pool: Pool,
    live: Live,
    reused: bool,
    // After the connection: whoever is next must not find one too many.
    _call: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.live.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.live.connection
    }
}

impl Lent {
    /// Makes the server know a statement before it is sent with its values: what fails until then has done nothing.
    pub(crate) async fn prepared(mut self, statement: &str) -> Result<Self, CallError> {
        match timeout(PING_LIMIT, self.prepare(statement)).await {
            Ok(Ok(_)) => Ok(self),
            Ok(Err(error)) => self.end(Ok(Err(error))),
            Err(late) => self.end(Err(late)),
        }
    }

    /// Gives the connection back after `outcome`, or closes it if that leaves a doubt.
    pub(crate) fn end<T>(self, outcome: Result<sqlx::Result<T>, Elapsed>) -> Result<T, CallError> {
        let sound = match &outcome {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error::leaves_sound(error),
            Err(_) => false,
        };
        let Self { pool, live, _call, _turn, .. } = self;
        if sound {
            pool.lock().push(Idle { live, since: Instant::now() });
        } else {
            pool.forget_idle();
        }
        match outcome {
            Ok(outcome) => outcome.map_err(CallError::Failed),
            Err(_) => Err(CallError::NoAnswer),
        }
    }
}
