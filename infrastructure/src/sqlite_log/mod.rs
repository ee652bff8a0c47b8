//! [`EventLog`] on SQLite, for the embedded mode.
//!
//! One thread writes; what waits for it goes into one transaction, so that the sync to disk is shared. A few
//! connections read. Other processes (the command line beside a server) may read and write the same file.

mod check;
mod group;
mod rows;
mod watcher;
mod writer;

pub(crate) use check::FINDINGS_MAX;
pub use check::{Report, deep_check};
pub use writer::APPEND_QUEUE;

use crate::sqlite::{
    CallError, Calls, InUse, Kind, Migration, OpenError, Problem, Purpose, WalFrames, prepare,
};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};
use verbatim_application::ports::{
    AppendError, Appended, EventLog, LogError, NewEvent, NewSnapshot, READ_BATCH_MAX, RecordedEvent,
    Snapshot, StreamId,
};
use verbatim_domain::Timestamp;
use watcher::Watcher;
use writer::{Claim, Job, Writer};

/// How long an append may take, waiting included.
pub const APPEND_LIMIT: Duration = Duration::from_secs(10);
/// How long dropping the log waits for appends that are under way.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// "VbEL" in the file's header.
const KIND: Kind = Kind { application_id: u32::from_be_bytes(*b"VbEL"), check: check::quick };

/// How the log is opened.
#[derive(Debug, Clone)]
pub struct SqliteLogOptions {
    /// Connections that read at the same time, at most.
    pub readers: usize,
    /// For tests of a full disk: pages that the file may have, read before each transaction.
    #[doc(hidden)]
    pub page_limit: Option<Arc<AtomicU32>>,
}

impl Default for SqliteLogOptions {
    fn default() -> Self {
        Self { readers: 4, page_limit: None }
    }
}

/// The log in an SQLite file. Dropping it waits for what is under way.
pub struct SqliteEventLog {
    readers: Calls,
    // In an Option only so that `drop` can close the channel before it waits for the writer.
    jobs: Option<mpsc::Sender<Job>>,
    head: watch::Receiver<u64>,
    // Disconnected once both threads have ended. In a lock only because a receiver can't be shared.
    threads: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

/// Why an append was not taken, when it is not SQLite's fault.
#[derive(Debug, thiserror::Error)]
enum AppendFailure {
    #[error("the append waited longer than {APPEND_LIMIT:?}")]
    TimedOut,
    #[error("the writing thread is gone")]
    WriterGone,
}

impl SqliteEventLog {
    /// Opens the log in `path`, creating it if there is none (its folder must exist), and applies `migrations`. Blocks;
    /// call it at start-up. Takes milliseconds, plus up to 0.3 s of checking for a file of up to 64 MiB.
    ///
    /// # Errors
    /// [`OpenError`] when the file is not a sound log that this program can use. Then it was not touched.
    pub fn open(
        path: impl AsRef<Path>,
        migrations: &[Migration<'_>],
        options: SqliteLogOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let in_use = prepare(path, &KIND, migrations)?;
        Self::start(path, options, in_use).map_err(|problem| problem.of(path))
    }

    fn start(path: &Path, options: SqliteLogOptions, in_use: InUse) -> Result<Self, Problem> {
        let connection = writer::open(path)?;
        let newest = connection.query_row(rows::HEAD, (), |row| rows::number(row, 0))?;
        let (sender, head) = watch::channel(newest);
        let (alive, threads) = std::sync::mpsc::channel();
        let watcher = Watcher::start(writer::open(path)?, sender.clone(), alive.clone())?;
        let (jobs, waiting) = mpsc::channel(APPEND_QUEUE);
        let writer = Writer {
            path: path.to_owned(),
            jobs: waiting,
            head: sender,
            watcher,
            page_limit: options.page_limit,
            connection: Some(connection),
            asked_at: 0,
            frames: WalFrames::of(path),
        };
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || {
            writer.run();
            drop(alive);
        })?;
        Ok(Self {
            readers: Calls::new(path.to_owned(), Purpose::Read, options.readers, in_use),
            jobs: Some(jobs),
            head,
            threads: std::sync::Mutex::new(threads),
        })
    }

    async fn read_with<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let outcome = self.readers.call(move |log| query(log)).await;
        outcome.map_err(|error: CallError| LogError(Box::new(error)))
    }

    async fn events(
        &self,
        limit: usize,
        query: impl FnOnce(&Connection, i64) -> rusqlite::Result<Vec<RecordedEvent>> + Send + 'static,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let limit = rows::clamp(limit.min(READ_BATCH_MAX) as u64);
        self.read_with(move |log| query(log, limit)).await
    }
}

impl Drop for SqliteEventLog {
    fn drop(&mut self) {
        // The last connection that closes moves the WAL into the file, and is waited for.
        self.readers.close();
        self.jobs = None;
        if let Ok(threads) = self.threads.get_mut() {
            let _ = threads.recv_timeout(CLOSE_LIMIT);
        }
    }
}

fn collect(
    log: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<RecordedEvent>> {
    log.prepare_cached(sql)?.query_map(params, rows::event)?.collect()
}

#[async_trait]
impl EventLog for SqliteEventLog {
    /// If this future is dropped, the append may happen all the same. An empty append is answered as if it stood after
    /// the last event known here; one with snapshots only stores these.
    async fn append(
        &self,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        if events.is_empty() && snapshots.is_empty() {
            return Ok(Appended { first_position: *self.head.borrow() + 1 });
        }
        let gone = || AppendError::Unavailable(Box::new(AppendFailure::WriterGone));
        let late = || AppendError::Unavailable(Box::new(AppendFailure::TimedOut));
        let deadline = Instant::now() + APPEND_LIMIT;
        let (reply, answer) = oneshot::channel();
        let claim = Arc::new(Claim::default());
        let job = Job { events, snapshots, recorded_at, reply, claim: Arc::clone(&claim) };
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        match timeout_at(deadline, jobs.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(gone()),
            Err(_) => return Err(late()),
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if claim.withdraw() => Err(gone()),
            Ok(Err(_)) => Err(AppendError::Unknown(Box::new(AppendFailure::WriterGone))),
            Err(_) if claim.withdraw() => Err(late()),
            Err(_) => Err(AppendError::Unknown(Box::new(AppendFailure::TimedOut))),
        }
    }

    async fn load(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let (kind, id) = (stream.aggregate_type, stream.aggregate_id.to_string());
        let query = move |log: &Connection, limit| {
            collect(log, rows::BY_STREAM, params![kind, id, rows::clamp(after), limit])
        };
        self.events(limit, query).await
    }

    async fn load_snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, LogError> {
        let (kind, id) = (stream.aggregate_type, stream.aggregate_id.to_string());
        let query = move |log: &Connection| {
            let mut snapshot = log.prepare_cached(rows::SNAPSHOT)?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Snapshot { sequence: rows::number(row, 0)?, payload: row.get(1)? })
            };
            snapshot.query_row(params![kind, id], read).optional()
        };
        self.read_with(query).await
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let query = move |log: &Connection, limit| {
            collect(log, rows::BY_POSITION, params![rows::clamp(after), limit])
        };
        self.events(limit, query).await
    }

    async fn find_by_idempotency_keys(&self, keys: Vec<String>) -> Result<Vec<RecordedEvent>, LogError> {
        let query = move |log: &Connection| {
            let mut by_key = log.prepare_cached(rows::BY_KEY)?;
            let one = |key: &String| by_key.query_row([key], rows::event).optional().transpose();
            keys.iter().filter_map(one).collect()
        };
        self.read_with(query).await
    }

    async fn head(&self) -> Result<u64, LogError> {
        self.read_with(|log| log.prepare_cached(rows::HEAD)?.query_row((), |row| rows::number(row, 0))).await
    }

    fn head_hint(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}
