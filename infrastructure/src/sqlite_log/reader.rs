//! Reading: a few connections, each used by one call at a time, on tokio's threads for blocking work.

use crate::sqlite::{Purpose, connect};
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
use verbatim_application::ports::LogError;

/// How long a read may take, waiting included.
pub const READ_LIMIT: Duration = Duration::from_secs(5);
/// Reads that may wait for a connection at once; more are refused.
pub const READ_QUEUE: usize = 1_024;
/// How long a reader waits for a lock. In WAL mode only recovery after a crash of another process takes one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Steps of SQLite's machine between two looks at the clock; about a tenth of a millisecond.
const STEPS_PER_LOOK: i32 = 10_000;

/// Why a read did not happen.
#[derive(Debug, thiserror::Error)]
enum ReadFailure {
    #[error("{READ_QUEUE} reads wait already")]
    QueueFull,
    #[error("the read took longer than {READ_LIMIT:?}")]
    TimedOut,
    #[error("the reading thread died")]
    Died(#[source] tokio::task::JoinError),
    #[error("SQLite failed: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<ReadFailure> for LogError {
    fn from(failure: ReadFailure) -> Self {
        Self(Box::new(failure))
    }
}

/// The connections.
pub(super) struct Readers {
    shared: Arc<Idle>,
    waiting: Arc<Semaphore>,
    busy: Arc<Semaphore>,
}

struct Idle {
    path: PathBuf,
    // The std lock: it is held for a push or a pop, never across an await.
    connections: Mutex<Vec<Connection>>,
}

impl Idle {
    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => connect(&self.path, Purpose::Read, BUSY_TIMEOUT),
        }
    }

    fn put_back(&self, connection: Connection) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Readers {
    /// At most `connections` at once; they are opened when first needed.
    pub(super) fn new(path: PathBuf, connections: usize) -> Self {
        Self {
            shared: Arc::new(Idle { path, connections: Mutex::default() }),
            waiting: Arc::new(Semaphore::new(READ_QUEUE)),
            busy: Arc::new(Semaphore::new(connections.max(1))),
        }
    }

    /// Closes the connections that nobody uses.
    pub(super) fn close(&self) {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Runs `query` on one of the connections.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let deadline = Instant::now() + READ_LIMIT;
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(ReadFailure::QueueFull.into()) };
        let busy = timeout_at(deadline, Arc::clone(&self.busy).acquire_owned());
        let Ok(Ok(busy)) = busy.await else { return Err(ReadFailure::TimedOut.into()) };
        let shared = Arc::clone(&self.shared);
        let work = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, also when nobody waits for it any more: a stuck disk occupies its connections
            // and not the whole thread pool.
            let _busy = busy;
            let connection = shared.take()?;
            let late = move || std::time::Instant::now() > deadline.into_std();
            connection.progress_handler(STEPS_PER_LOOK, Some(late));
            let outcome = query(&connection);
            connection.progress_handler(0, None::<fn() -> bool>);
            // One that failed is closed, and the next call opens a fresh one.
            if outcome.is_ok() {
                shared.put_back(connection);
            }
            outcome
        });
        match timeout_at(deadline, work).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) => Err(ReadFailure::Sqlite(error).into()),
            Ok(Err(error)) => Err(ReadFailure::Died(error).into()),
            Err(_) => Err(ReadFailure::TimedOut.into()),
        }
    }
}
