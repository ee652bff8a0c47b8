//! The read-model database: one connection that writes, several that read.

use sea_orm::{
    ConnectOptions, Database as Connector, DatabaseConnection, DatabaseTransaction, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait;
use std::time::Duration;
use verbatim_migrations::read_models::Migrator;

/// How many connections read. A read keeps one for some 100 µs; more would only take memory.
const READERS: u32 = 4;
/// How long a transaction waits for another process that is writing.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);
/// Page cache of the writing connection, in KiB: the ends of some thousand rooms' histories.
const WRITER_CACHE_KIB: u32 = 32 * 1024;
/// Page cache of each reading connection, in KiB.
const READER_CACHE_KIB: u32 = 4 * 1024;
/// Pages in the write-ahead log before they are moved into the file, and that file is flushed: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4_096;
/// What the write-ahead log is cut back to once it could grow larger (a reader held it up), in bytes.
const WAL_LIMIT_BYTES: u32 = 64 * 1024 * 1024;
/// Prepared statements kept by a connection: each bulk statement comes in up to ten lengths.
const STATEMENTS: usize = 256;

/// Both pools.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// One connection: SQLite has one writer at a time, and waiting here is fair where waiting there is not.
    pub writer: DatabaseConnection,
    /// For everything that only reads.
    pub readers: DatabaseConnection,
}

impl Database {
    /// Opens the database, creating it and bringing its schema up to date as needed.
    pub(crate) async fn connect(url: &str) -> Result<Self, DbErr> {
        let mut options = options(url);
        options.max_connections(1).min_connections(1).map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // A power cut may lose the last transactions, never the order of them; they are in the log.
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_LIMIT)
                .statement_cache_capacity(STATEMENTS)
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
                .pragma("journal_size_limit", WAL_LIMIT_BYTES.to_string())
                .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        });
        let writer = Connector::connect(options).await?;
        migrate(&writer).await?;

        let mut options = self::options(url);
        options.max_connections(READERS).map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .busy_timeout(BUSY_LIMIT)
                .statement_cache_capacity(STATEMENTS)
                .pragma("query_only", "ON")
                .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
        });
        let readers = Connector::connect(options).await?;
        Ok(Self { writer, readers })
    }

    /// A transaction that may write. On SQLite it takes the lock at once: one that read first could find it taken when
    /// it wants to write.
    pub(crate) async fn begin_write(&self) -> Result<DatabaseTransaction, DbErr> {
        begin_write(&self.writer).await
    }

    /// A transaction in which all reads see one state.
    pub(crate) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        self.readers.begin().await
    }
}

fn options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

async fn begin_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    db.begin_with_options(TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() })
        .await
}

/// In one transaction, so that two processes that start together do not both create the tables.
async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let txn = begin_write(db).await?;
    Migrator::up(&txn, None).await?;
    txn.commit().await
}
