//! [`EventLog`] on PostgreSQL, for the cluster mode: any number of nodes append and read.
//!
//! The tables are those of postgres-es, with more columns, and postgres-es reads them (a test says so). Its own calls are
//! not used here: they know nothing of position, time and idempotency key, which every answer of the port has; they take no
//! limit; they write the sequence into the statement's text, which makes each load a new statement to be planned and
//! cached; they turn payloads into `serde_json::Value`, which does not keep their bytes; and they need sqlx's pool, which
//! waits without limit for a connection that is dead (see `pool.rs`).

mod append;
mod check;
mod hint;
mod rows;

pub use check::deep_check;

use super::{
    ANSWER_LIMIT, CallError, PoolStats, PostgresOpenError,
    connect::Target,
    error,
    migrate::Schema,
    pool::{Lent, Pool, Query},
};
use crate::sqlite::Migration;
use async_trait::async_trait;
use hint::Hint;
use sqlx::{Executor, postgres::PgRow};
use std::sync::{Mutex, PoisonError};
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use verbatim_application::ports::{
    AppendError, Appended, EventLog, LogError, NewEvent, NewSnapshot, READ_BATCH_MAX, RecordedEvent,
    Snapshot, StreamId, Turn,
};
use verbatim_domain::Timestamp;

/// Connections of one node that append. Appends take turns in the database, so more only means more that wait there.
pub const APPEND_CONNECTIONS: usize = 4;
/// Connections of one node that read.
pub const READ_CONNECTIONS: usize = 8;
/// The log is only ever read through its indexes. Without this, a statement that was planned while the tables were empty
/// would go on reading all of them until they are analysed.
const SESSION: &str = "SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off";

/// Connections of one node that ask for turns or have one. Only one in the whole cluster has it at a time.
const TURN_CONNECTIONS: usize = 2;
/// A node that hangs or is cut off while it has the turn loses it after so long.
const TURN_SESSION: &str = "SET idle_in_transaction_session_timeout = '2s'";

/// How the log is opened.
#[derive(Debug, Clone)]
pub struct PostgresLogOptions {
    /// Applies migrations that are missing. Otherwise a log that lacks some is refused.
    pub migrate: bool,
    /// Connections that append at the same time, at most.
    pub writers: usize,
    /// Connections that read at the same time, at most.
    pub readers: usize,
    /// Tells all nodes of each append at once (`NOTIFY`); otherwise they notice within a second.
    pub notify: bool,
}

impl Default for PostgresLogOptions {
    fn default() -> Self {
        Self { migrate: true, writers: APPEND_CONNECTIONS, readers: READ_CONNECTIONS, notify: true }
    }
}

/// The log in a PostgreSQL database.
pub struct PostgresEventLog {
    writers: Pool,
    readers: Pool,
    /// Each turn is a transaction on one of these.
    turns: Pool,
    append: &'static str,
    hint: Hint,
    _following: AbortOnDropHandle<()>,
}

impl PostgresEventLog {
    /// Opens the log in the database of a `postgres://` URL, with `migrations` applied first, by as many nodes at once as
    /// like. The time for that is bounded by the migrations; without any to apply it is some seconds at most.
    ///
    /// # Errors
    /// [`PostgresOpenError`] when there is no log that this program can use. Then nothing was changed.
    pub async fn open(
        url: &str,
        migrations: &[Migration<'_>],
        options: PostgresLogOptions,
    ) -> Result<Self, PostgresOpenError> {
        let target = Target::parse(url)?;
        Schema::parse("event_log", migrations)?.ensure(&target, options.migrate).await?;
        let target = target.with(SESSION);
        let turns = Pool::new(target.clone().with(TURN_SESSION), TURN_CONNECTIONS);
        let readers = Pool::new(target.clone(), options.readers);
        let hint = Hint::new(look(&readers).await?);
        let following = hint.follow(target.clone());
        let append = if options.notify { append::NOTIFYING } else { append::QUIETLY };
        let writers = Pool::new(target, options.writers);
        Ok(Self { writers, readers, turns, append, hint, _following: following })
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// [`LogError`] when there is none.
    pub async fn ping(&self) -> Result<(), LogError> {
        self.readers.read(|| sqlx::query("SELECT")).await.map_err(unreadable).map(drop)
    }

    async fn rows<T>(
        &self,
        query: impl Fn() -> Query,
        read: fn(&PgRow) -> sqlx::Result<T>,
    ) -> Result<Vec<T>, LogError> {
        let rows = self.readers.read(query).await.map_err(unreadable)?;
        let read = rows.iter().map(read).collect::<sqlx::Result<_>>();
        read.map_err(|error| LogError(Box::new(error)))
    }

    async fn events(&self, query: impl Fn() -> Query) -> Result<Vec<RecordedEvent>, LogError> {
        self.rows(query, rows::event).await
    }

    /// Makes known where an append has ended.
    fn appended(&self, first_position: u64, events: usize) -> Appended {
        self.hint.raise((first_position + events as u64).saturating_sub(1));
        Appended { first_position }
    }

    /// The connections that append.
    #[must_use]
    pub fn writers(&self) -> PoolStats {
        self.writers.stats()
    }

    /// The connections that read.
    #[must_use]
    pub fn readers(&self) -> PoolStats {
        self.readers.stats()
    }
}

/// The head, if the log makes sense as far as a quick look shows: of the last events none is missing.
async fn look(log: &Pool) -> Result<u64, PostgresOpenError> {
    let found = log.read(|| sqlx::query(rows::LOOK)).await?;
    let row = found.first().ok_or(sqlx::Error::RowNotFound)?;
    let (head, tail) = (rows::number(row, 0)?, rows::number(row, 1)?);
    if tail != head.min(rows::TAIL) {
        let problem = format!("of its last {} events some are missing", rows::TAIL);
        return Err(PostgresOpenError::Corrupted(problem));
    }
    Ok(head)
}

fn unavailable(error: CallError) -> AppendError {
    AppendError::Unavailable(Box::new(error))
}

fn unreadable(error: CallError) -> LogError {
    LogError(Box::new(error))
}

fn most(limit: usize) -> i64 {
    rows::clamp(limit.min(READ_BATCH_MAX) as u64)
}

#[async_trait]
impl EventLog for PostgresEventLog {
    /// If this future is dropped, the append may happen all the same. An empty append is answered as if it stood after
    /// the last event known here; one with snapshots only stores these.
    async fn append(
        &self,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        if events.is_empty() && snapshots.is_empty() {
            return Ok(Appended { first_position: self.hint.known() + 1 });
        }
        let log = self.writers.lend().await.map_err(unavailable)?;
        let mut log = log.prepared(self.append).await.map_err(unavailable)?;
        let sent = append::run(&mut log, self.append, &events, &snapshots, recorded_at);
        let outcome = timeout(ANSWER_LIMIT, sent).await;
        let first_position = log.end(outcome).map_err(error::of_append)?;
        Ok(self.appended(first_position, events.len()))
    }

    async fn turn(&self) -> Result<Option<Turn>, LogError> {
        let log = self.turns.lend().await.map_err(unreadable)?;
        let mut log = log.prepared(append::IN_TURN).await.map_err(unreadable)?;
        match timeout(ANSWER_LIMIT, log.execute(append::BEGIN_TURN)).await {
            // Whoever drops it closes the connection, and so ends the transaction.
            Ok(Ok(_)) => Ok(Some(Turn(Box::new(Mutex::new(log))))),
            Ok(Err(error)) => Err(unreadable(CallError::Failed(error))),
            Err(_) => Err(unreadable(CallError::NoAnswer)),
        }
    }

    async fn append_in_turn(
        &self,
        turn: Turn,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        let Ok(log) = turn.0.downcast::<Mutex<Lent>>() else {
            return Err(AppendError::Unavailable("the turn is of another log".into()));
        };
        let mut log = log.into_inner().unwrap_or_else(PoisonError::into_inner);
        let sent = append::run(&mut log, append::IN_TURN, &events, &snapshots, recorded_at);
        // What fails here is undone as the connection is closed.
        let first_position = match timeout(ANSWER_LIMIT, sent).await {
            Ok(Ok(first_position)) => first_position,
            Ok(Err(error)) => return Err(error::of_append_in_turn(CallError::Failed(error))),
            Err(_) => return Err(error::of_append_in_turn(CallError::NoAnswer)),
        };
        let outcome = timeout(ANSWER_LIMIT, log.execute("COMMIT")).await;
        log.end(outcome).map_err(error::of_append)?;
        Ok(self.appended(first_position, events.len()))
    }

    async fn load(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let (kind, id) = (stream.aggregate_type, stream.aggregate_id.to_string());
        let (after, limit) = (rows::clamp(after), most(limit));
        let query = || sqlx::query(rows::BY_STREAM).bind(kind).bind(id.clone()).bind(after).bind(limit);
        self.events(query).await
    }

    async fn load_snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, LogError> {
        let (kind, id) = (stream.aggregate_type, stream.aggregate_id.to_string());
        let query = || sqlx::query(rows::SNAPSHOT).bind(kind).bind(id.clone());
        Ok(self.rows(query, rows::snapshot).await?.pop())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let (after, limit) = (rows::clamp(after), most(limit));
        self.events(|| sqlx::query(rows::BY_POSITION).bind(after).bind(limit)).await
    }

    async fn find_by_idempotency_keys(&self, keys: Vec<String>) -> Result<Vec<RecordedEvent>, LogError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.events(|| sqlx::query(rows::BY_KEYS).bind(keys.clone())).await
    }

    async fn head(&self) -> Result<u64, LogError> {
        let heads = self.rows(|| sqlx::query(rows::HEAD), |row| rows::number(row, 0)).await?;
        Ok(heads.first().copied().unwrap_or_default())
    }

    fn head_hint(&self) -> watch::Receiver<u64> {
        self.hint.subscribe()
    }
}
