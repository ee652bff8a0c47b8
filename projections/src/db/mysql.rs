//! Connections to MySQL or MariaDB.

use crate::failures;
use sea_orm::{
    DatabaseConnection, DbErr, RuntimeErr, SqlxMySqlConnector,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, Connection, Executor,
        mysql::{MySqlConnectOptions, MySqlConnection, MySqlPoolOptions},
    },
};
use std::{sync::Arc, time::Duration};

/// How many connections write: the live runner's, one of a rebuild beside it, and some short notes.
const WRITERS: u32 = 4;
/// How many connections read.
const READERS: u32 = 8;
/// How long a writer waits for a connection, and for it to be made.
const WRITER_ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// How long a reader does: less than what a read may take in all.
const READER_ACQUIRE_LIMIT: Duration = Duration::from_secs(2);
/// How long a connection that is needed at once may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A connection that was idle for so long is tried before it is used.
const TRY_AFTER: Duration = Duration::from_secs(1);
/// A connection that was idle for so long is closed by the pool.
const WRITER_IDLE_LIMIT: Duration = Duration::from_secs(2);
/// The same for a reader.
const READER_IDLE_LIMIT: Duration = Duration::from_secs(300);
/// Prepared statements kept by a writer: each bulk statement comes in up to ten lengths, for each version.
const WRITER_STATEMENTS: usize = 256;
/// Prepared statements kept by a reader.
const READER_STATEMENTS: usize = 64;

/// What every session is told. Nothing is left to the server's defaults that what we write or read depends on.
const SESSION: &str = "SET SESSION time_zone = '+00:00', sql_mode = \
    'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION'";

/// What a session that writes is told besides. Without gap locks (READ COMMITTED) writers of different versions never
/// wait for each other. Times are in seconds. A writer that says nothing for three is cut off, and its locks with it:
/// it is stopped, or the line to it is cut, and another one waits. So lock waits are a little longer.
const WRITING: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET SESSION wait_timeout = 3, innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, net_read_timeout = 5, \
    net_write_timeout = 5";

/// What the session that changes the schema is told after that: who waits to replace a view makes all wait who want to
/// read it afterwards.
const CHANGING_THE_SCHEMA: &str = "SET SESSION lock_wait_timeout = 1, wait_timeout = 10";

/// What a session that reads is told besides. Each of the two engines has a time limit for queries, under a name of its
/// own and in a unit of its own; what stands in such a comment only the one or the other sees.
const READING: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET SESSION TRANSACTION READ ONLY; \
    SET SESSION wait_timeout = 600, lock_wait_timeout = 5, net_write_timeout = 10 \
    /*M!100500 , max_statement_time = 5 */ /*!80000 , max_execution_time = 5000 */";

/// Where the server is and who we are there. It has no `Debug`: the password would be in it.
#[derive(Clone)]
pub(super) struct Server(Arc<MySqlConnectOptions>);

impl Server {
    /// What a URL says; `None` for one of SQLite. Errors name no part of the URL: it has a password.
    pub(super) fn of_url(url: &str) -> Result<Option<Self>, DbErr> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Ok(None),
            "mysql" | "mariadb" => {
                let options = url.parse::<MySqlConnectOptions>().map_err(of_sqlx)?;
                if options.get_database().is_none() {
                    return Err(DbErr::Custom("the URL of the read models names no database".to_owned()));
                }
                Ok(Some(Self(Arc::new(options.disable_statement_logging()))))
            }
            _ => Err(DbErr::Custom(
                "the URL of the read models begins neither with sqlite: nor with mysql:".to_owned(),
            )),
        }
    }

    /// Connections that write; made when they are needed.
    pub(super) fn writers(&self) -> DatabaseConnection {
        let options = self.0.as_ref().clone().statement_cache_capacity(WRITER_STATEMENTS);
        let pool = pool(&[SESSION, WRITING], WRITER_IDLE_LIMIT)
            .max_connections(WRITERS)
            .acquire_timeout(WRITER_ACQUIRE_LIMIT);
        SqlxMySqlConnector::from_sqlx_mysql_pool(pool.connect_lazy_with(options))
    }

    /// Connections that read; made when they are needed.
    pub(super) fn readers(&self) -> DatabaseConnection {
        let options = self.0.as_ref().clone().statement_cache_capacity(READER_STATEMENTS);
        let pool = pool(&[SESSION, READING], READER_IDLE_LIMIT)
            .max_connections(READERS)
            .acquire_timeout(READER_ACQUIRE_LIMIT);
        SqlxMySqlConnector::from_sqlx_mysql_pool(pool.connect_lazy_with(options))
    }

    /// A connection of one's own that changes the schema; made now.
    pub(super) async fn alone(&self) -> Result<DatabaseConnection, DbErr> {
        // A pool would try again and again until its time is up, and then not say why.
        let connecting = MySqlConnection::connect_with(&self.0);
        let Ok(connected) = tokio::time::timeout(CONNECT_LIMIT, connecting).await else {
            return Err(failures::late(CONNECT_LIMIT));
        };
        let greeting = connected.map_err(of_sqlx)?;
        let pool = pool(&[SESSION, WRITING, CHANGING_THE_SCHEMA], CONNECT_LIMIT)
            .max_connections(1)
            .acquire_timeout(CONNECT_LIMIT)
            .connect_lazy_with(self.0.as_ref().clone());
        tokio::spawn(tokio::time::timeout(CONNECT_LIMIT, greeting.close()));
        Ok(SqlxMySqlConnector::from_sqlx_mysql_pool(pool))
    }
}

fn of_sqlx(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}

/// Connections that are told these settings, and closed when they were idle for so long.
fn pool(settings: &[&str], idle_limit: Duration) -> MySqlPoolOptions {
    let settings = Arc::<str>::from(settings.join("; "));
    MySqlPoolOptions::new()
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let settings = AssertSqlSafe(settings.to_string());
            Box::pin(async move { connection.execute(settings).await.map(drop) })
        })
        .idle_timeout(idle_limit)
        .before_acquire(move |connection, used| {
            Box::pin(async move {
                if used.idle_for >= idle_limit {
                    return Ok(false);
                }
                Ok(used.idle_for < TRY_AFTER || connection.ping().await.is_ok())
            })
        })
}
