//! Connections to a SQLite file.

use crate::failures;
use sea_orm::{
    ConnectOptions, Database as Connector, DatabaseConnection, DatabaseTransaction, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use std::time::Duration;

/// How many connections read. A read keeps one for some 100 µs; more would only take memory.
const READERS: u32 = 4;
/// How long a transaction waits for another process that is writing.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// How often it looks whether that one is done. SQLite's own waiting looks ever more rarely, up to every 100 ms, and
/// hardly ever meets the gap between two transactions of a rebuild.
const BUSY_POLL: Duration = Duration::from_millis(1);
/// SQLite's own waiting once the database is open.
const BUSY_TIMEOUT: Duration = Duration::from_millis(2);
/// How long a caller waits for a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(10);
/// Page cache of the writing connection, in KiB: the ends of some thousand rooms' histories.
const WRITER_CACHE_KIB: u32 = 32 * 1024;
/// Page cache of each reading connection, in KiB.
const READER_CACHE_KIB: u32 = 4 * 1024;
/// Pages in the write-ahead log before they are moved into the file, and that file is flushed: 4 MiB. Everybody waits
/// meanwhile: with four times as many, one delivery in a hundred took twice as long, and nothing was quicker.
const CHECKPOINT_PAGES: u32 = 1_024;
/// What the write-ahead log is cut back to once it could grow larger (a reader held it up), in bytes.
const WAL_LIMIT_BYTES: u32 = 64 * 1024 * 1024;
/// Rows that a reading connection may run ahead of whoever takes them: the thread behind it sleeps less often.
const ROWS_AHEAD: usize = 512;
/// Prepared statements kept by a connection: each bulk statement comes in up to ten lengths.
const STATEMENTS: usize = 256;

/// Opens the file, creating it if need be: the connection that writes, and those that read.
pub(super) async fn open(url: &str) -> Result<(DatabaseConnection, DatabaseConnection), DbErr> {
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
            // Last: what opening itself has to wait for, it waits for longer.
            .pragma("busy_timeout", BUSY_TIMEOUT.as_millis().to_string())
    });
    let writer = Connector::connect(options).await?;

    let mut options = self::options(url);
    options.max_connections(READERS).map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .busy_timeout(BUSY_LIMIT)
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(ROWS_AHEAD)
            .pragma("query_only", "ON")
            .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
    });
    let readers = Connector::connect(options).await?;
    Ok((writer, readers))
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

pub(super) async fn begin_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let patience = tokio::time::Instant::now() + BUSY_LIMIT;
    loop {
        match db.begin_with_options(options).await {
            Err(error) if failures::is_busy(&error) && tokio::time::Instant::now() < patience => {
                tokio::time::sleep(BUSY_POLL).await;
            }
            begun => return begun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bulk, db::Database};
    use sea_orm::ConnectionTrait;

    async fn insert(db: &DatabaseTransaction, rows: usize) -> Result<u64, DbErr> {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             INSERT INTO message_senders_v1 SELECT printf('%0100d', i), printf('%0400d', i) FROM n WHERE true \
             ON CONFLICT DO NOTHING"
        );
        bulk::execute(db, sql, vec![]).await
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_until_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("read.db").display());
        let db = Database::connect(&url).await.unwrap();
        db.writer().execute_unprepared("PRAGMA max_page_count = 60").await.unwrap();
        for _ in 0..3 {
            let txn = db.begin_write().await.unwrap();
            insert(&txn, 1).await.unwrap();
            let full = insert(&txn, 10_000).await;
            assert!(full.is_err_and(|error| error.to_string().contains("full")));
            drop(txn);
        }
        db.writer().execute_unprepared("PRAGMA max_page_count = 1000000").await.unwrap();
        let txn = db.begin_write().await.unwrap();
        let left = bulk::query(&txn, "SELECT COUNT(*) AS n FROM message_senders_v1", vec![]).await.unwrap();
        assert_eq!(left[0].try_get::<i64>("", "n").unwrap(), 0, "nothing half-written");
        insert(&txn, 10_000).await.unwrap();
        // It has the lock, as a transaction begun for writing must.
        let other = Database::connect(&url);
        assert!(tokio::time::timeout(Duration::from_millis(100), other).await.is_err());
        txn.commit().await.unwrap();
        let left =
            bulk::query(&db.reader(), "SELECT COUNT(*) AS n FROM message_senders", vec![]).await.unwrap();
        assert_eq!(left[0].try_get::<i64>("", "n").unwrap(), 10_000);
    }
}
