//! The read-model database: connections that write, and connections that read.

mod exclusive;
mod mysql;
mod pool;
mod sqlite;

pub(crate) use exclusive::Exclusive;
pub use pool::PoolStatus;

use crate::{ProjectionError, failures};
use mysql::Server;
use pool::Pool;
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, TransactionTrait};
use sea_orm_migration::MigratorTrait;
use std::time::Duration;
use verbatim_migrations::read_models::Migrator;

/// The longest that a MySQL server may take for one statement: who asks a server that hangs has to learn of it.
pub(crate) const STATEMENT_LIMIT: Duration = Duration::from_secs(6);
/// The longest that a change of the schema may take.
const SCHEMA_LIMIT: Duration = Duration::from_secs(60);
/// How long one process waits for another one to be done with changing the schema.
const EXCLUSIVE_PATIENCE: Duration = Duration::from_secs(20);
/// The longest that closing may take when the server is gone.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Both pools.
pub(crate) struct Database {
    writers: Pool,
    readers: Pool,
    /// Where MySQL is; `None` for a file.
    server: Option<Server>,
}

impl Database {
    /// Opens the database and brings its schema up to date as needed.
    pub(crate) async fn connect(url: &str) -> Result<Self, DbErr> {
        let db = Self::open(url).await?;
        db.migrate().await?;
        Ok(db)
    }

    /// Opens the database: a file is created if need be; a server is not asked for anything yet.
    pub(crate) async fn open(url: &str) -> Result<Self, DbErr> {
        if let Some(server) = Server::of_url(url)? {
            let (of_writers, of_readers) = (server.clone(), server.clone());
            return Ok(Self {
                writers: Pool::renewable("write", move || of_writers.writers()),
                readers: Pool::renewable("read", move || of_readers.readers()),
                server: Some(server),
            });
        }
        let (writer, readers) = sqlite::open(url).await?;
        Ok(Self {
            writers: Pool::fixed("write", writer),
            readers: Pool::fixed("read", readers),
            server: None,
        })
    }

    /// Brings the schema up to date, one process at a time.
    pub(crate) async fn migrate(&self) -> Result<(), DbErr> {
        let db = self.begin_exclusive().await?;
        self.schema(Migrator::up(&*db, None)).await?;
        db.end().await
    }

    /// Whether MySQL is behind it, where a change of the schema commits at once, and a server can be away.
    pub(crate) fn is_mysql(&self) -> bool {
        self.server.is_some()
    }

    /// For single statements that write, or must see what was written just now. SQLite has one writer at a time, so it
    /// is one connection: waiting here is fair where waiting there is not.
    pub(crate) fn writer(&self) -> DatabaseConnection {
        self.writers.get()
    }

    /// For everything that only reads.
    pub(crate) fn reader(&self) -> DatabaseConnection {
        self.readers.get()
    }

    /// A transaction that may write. On SQLite it takes the lock at once: one that read first could find it taken when
    /// it wants to write.
    pub(crate) async fn begin_write(&self) -> Result<DatabaseTransaction, DbErr> {
        let db = self.writer();
        if self.is_mysql() { self.statement(db.begin()).await } else { sqlite::begin_write(&db).await }
    }

    /// A transaction in which all reads see one state.
    pub(crate) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        begin_read(self.reader()).await
    }

    /// As [`Self::begin_write`], for changes of the schema. On SQLite all of them come or none. On MySQL they come one by
    /// one, but no other process makes any meanwhile.
    pub(crate) async fn begin_exclusive(&self) -> Result<Exclusive, DbErr> {
        self.exclusive(EXCLUSIVE_PATIENCE).await?.ok_or_else(failures::schema_taken)
    }

    /// The same, unless another process has the right.
    pub(crate) async fn try_exclusive(&self) -> Result<Option<Exclusive>, DbErr> {
        self.exclusive(Duration::ZERO).await
    }

    async fn exclusive(&self, patience: Duration) -> Result<Option<Exclusive>, DbErr> {
        match &self.server {
            None => Ok(Some(Exclusive::of_transaction(self.begin_write().await?))),
            Some(server) => Exclusive::on_server(server, patience).await,
        }
    }

    /// Ends a transaction with what it did.
    pub(crate) async fn commit(&self, db: DatabaseTransaction) -> Result<(), DbErr> {
        self.statement(db.commit()).await
    }

    /// Ends a transaction as if it had not been.
    pub(crate) async fn rollback(&self, db: DatabaseTransaction) -> Result<(), DbErr> {
        self.statement(db.rollback()).await
    }

    /// Runs what asks the server once, not for longer than [`STATEMENT_LIMIT`].
    async fn statement<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.within(STATEMENT_LIMIT, work).await
    }

    /// Runs a change of the schema, not for longer than [`SCHEMA_LIMIT`].
    pub(crate) async fn schema<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.within(SCHEMA_LIMIT, work).await
    }

    /// Runs something not for longer than a server may take. A file does not hang.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        if !self.is_mysql() {
            return work.await;
        }
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(failures::late(limit)))
    }

    /// Takes note that reading failed. Connections that may hang are left to themselves, and fresh ones made.
    pub(crate) fn readers_failed(&self) {
        self.readers.renew();
    }

    /// Takes note that writing failed.
    pub(crate) fn writers_failed(&self) {
        self.writers.renew();
    }

    /// How many connections there are.
    pub(crate) fn pools(&self) -> [PoolStatus; 2] {
        [self.writers.status(), self.readers.status()]
    }

    /// Closes all connections, those that write last: SQLite's leaves the file without a write-ahead log.
    pub(crate) async fn close(&self) -> Result<(), ProjectionError> {
        for pool in [&self.readers, &self.writers] {
            self.within(CLOSE_LIMIT, async { pool.get().close_by_ref().await }).await?;
        }
        Ok(())
    }
}

/// A transaction in which all reads see one state.
pub(crate) async fn begin_read(db: DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    if db.get_database_backend() != DbBackend::MySql {
        return db.begin().await;
    }
    // Not to be broken off half-way, whoever asked: the connection would go back with a transaction that the driver
    // does not know of, and show everybody after that one state for ever.
    let begun = tokio::spawn(async move { db.begin().await });
    match tokio::time::timeout(STATEMENT_LIMIT, begun).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(_)) | Err(_) => Err(failures::late(STATEMENT_LIMIT)),
    }
}
