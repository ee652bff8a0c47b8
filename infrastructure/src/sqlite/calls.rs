//! Calls into SQLite from async code: a few connections, each used by one call at a time, on tokio's threads for blocking
//! work. A call has a time limit, and only so many may wait.

use super::{InUse, Purpose, connect};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// How long a call may take, waiting included.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Calls that may be under way or wait at once, for each file; more are refused.
pub const CALL_QUEUE: usize = 1_024;
/// How long a connection waits for a lock that another one holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// Steps of SQLite's machine between two looks at the clock; about a tenth of a millisecond.
const STEPS_PER_LOOK: i32 = 10_000;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{CALL_QUEUE} calls wait already")]
    QueueFull,
    #[error("the call took longer than {CALL_LIMIT:?}")]
    TimedOut,
    #[error("the calling thread died")]
    Died(#[source] tokio::task::JoinError),
    #[error("SQLite failed: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

/// The connections.
pub(crate) struct Calls {
    idle: Arc<Idle>,
    waiting: Semaphore,
    busy: Arc<Semaphore>,
}

struct Idle {
    path: PathBuf,
    purpose: Purpose,
    // The std lock: it is held for a push or a pop, never across an await.
    connections: Mutex<Vec<Connection>>,
    // After the connections: it must live longer.
    _in_use: InUse,
}

impl Idle {
    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => connect(&self.path, self.purpose, BUSY_TIMEOUT),
        }
    }

    fn put_back(&self, connection: Connection) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Calls {
    /// At most `connections` at once; they are opened when first needed.
    pub(crate) fn new(path: PathBuf, purpose: Purpose, connections: usize, in_use: InUse) -> Self {
        Self {
            idle: Arc::new(Idle { path, purpose, connections: Mutex::default(), _in_use: in_use }),
            waiting: Semaphore::new(CALL_QUEUE),
            busy: Arc::new(Semaphore::new(connections.max(1))),
        }
    }

    /// Closes the connections that nobody uses.
    pub(crate) fn close(&self) {
        self.idle.connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Runs `work` on one of the connections. If this future is dropped, or fails with [`CallError::TimedOut`], the work
    /// may be done all the same.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CallError> {
        let deadline = Instant::now() + CALL_LIMIT;
        let _waiting = self.waiting.try_acquire().map_err(|_| CallError::QueueFull)?;
        let busy = timeout_at(deadline, Arc::clone(&self.busy).acquire_owned()).await;
        let Ok(Ok(busy)) = busy else { return Err(CallError::TimedOut) };
        let idle = Arc::clone(&self.idle);
        let work = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, also when nobody waits for it any more: a stuck disk occupies its connections
            // and not the whole thread pool.
            let _busy = busy;
            let mut connection = idle.take()?;
            let late = move || std::time::Instant::now() > deadline.into_std();
            connection.progress_handler(STEPS_PER_LOOK, Some(late));
            let outcome = work(&mut connection);
            connection.progress_handler(0, None::<fn() -> bool>);
            // One that failed is closed, and the next call opens a fresh one.
            if outcome.is_ok() {
                idle.put_back(connection);
            }
            outcome
        });
        match timeout_at(deadline, work).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) => Err(CallError::Sqlite(error)),
            Ok(Err(error)) => Err(CallError::Died(error)),
            Err(_) => Err(CallError::TimedOut),
        }
    }
}
