//! What PostgreSQL's errors say: about the schema, about a connection, and about an append.

use super::{ConnectError, pool::CallError};
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use verbatim_application::ports::AppendError;

/// The database can't be used; nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// It is no URL of a PostgreSQL database.
    #[error("is no PostgreSQL URL: {0}")]
    Url(#[source] sqlx::Error),
    /// It can't be reached, or refuses us.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It failed.
    #[error("PostgreSQL failed: {0}")]
    Failed(#[source] sqlx::Error),
    /// It did not answer.
    #[error("PostgreSQL did not answer in time")]
    NoAnswer,
    /// Another process holds its tables.
    #[error("another process is changing the schema")]
    Locked,
    /// It has none of our tables, or old ones, and was not to be migrated.
    #[error(
        "has schema version {found} of {component}, and this program needs {needed}: run `verbatim migrate`"
    )]
    OlderSchema {
        /// Which part of the schema.
        component: &'static str,
        /// Of the database; 0 for an empty one.
        found: u32,
        /// What this program needs.
        needed: u32,
    },
    /// A newer version of this program has changed its tables.
    #[error("has schema version {found} of {component}, and this program knows only up to {known}")]
    NewerSchema {
        /// Which part of the schema.
        component: &'static str,
        /// Of the database.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// It can't hold every text.
    #[error("has the encoding {0}, and must have UTF8")]
    Encoding(String),
    /// Its content contradicts itself.
    #[error("is damaged: {0}")]
    Corrupted(String),
    /// A migration's name has no number, or numbers are not 1, 2, 3 …; a bug.
    #[error("can't be migrated: migration {0:?} is out of order")]
    Migration(String),
}

/// `lock_not_available`: [`lock_timeout`](https://www.postgresql.org/docs/current/runtime-config-client.html) has passed.
const LOCK_NOT_AVAILABLE: &str = "55P03";

impl From<sqlx::Error> for PostgresOpenError {
    fn from(error: sqlx::Error) -> Self {
        match answer(&error) {
            Some(answer) if answer.code() == LOCK_NOT_AVAILABLE => Self::Locked,
            _ => Self::Failed(error),
        }
    }
}

impl From<CallError> for PostgresOpenError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(error) => error.into(),
            CallError::Connect(error) => error.into(),
            CallError::QueueFull | CallError::NoTurn | CallError::NoAnswer => Self::NoAnswer,
        }
    }
}

/// The server's own refusal of a statement: nothing of that is done, and the session goes on. A message of the severity
/// FATAL or PANIC is none: it ends the session, and may come when the commit is done already.
fn answer(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    let sqlx::Error::Database(error) = error else { return None };
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    (!matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)).then_some(error)
}

/// Whether this is a refusal, so that the same again would be refused again.
pub(super) fn is_answer(error: &sqlx::Error) -> bool {
    answer(error).is_some()
}

/// Whether the connection can be used further. A server that has become read-only was the primary once; after a failover a
/// fresh connection may find the new one.
pub(super) fn leaves_sound(error: &sqlx::Error) -> bool {
    const READ_ONLY_SQL_TRANSACTION: &str = "25006";
    answer(error).is_some_and(|answer| answer.code() != READ_ONLY_SQL_TRANSACTION)
}

/// Whether the server has found its own files damaged (`data_corrupted`, `index_corrupted`).
pub(super) fn is_corruption(error: &sqlx::Error) -> bool {
    answer(error).is_some_and(|answer| ["XX001", "XX002"].contains(&answer.code()))
}

/// The indexes of `migrations/postgres/event_log` by which writers notice each other.
const TAKEN: [&str; 2] = ["events_stream", "events_idempotency_key"];
/// SQLSTATEs that leave open whether the statement took effect. PostgreSQL itself never sends them; what speaks its
/// protocol may. [Appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html)
const UNKNOWN: [&str; 2] = ["08007", "40003"];

/// What an append came to that failed after its statement was sent. It is one statement in a transaction of its own, so any
/// refusal means that nothing of it is in the log, and no answer means that nobody knows.
pub(super) fn of_append(error: CallError) -> AppendError {
    const UNIQUE_VIOLATION: &str = "23505";
    let CallError::Failed(failed) = &error else { return AppendError::Unknown(Box::new(error)) };
    match answer(failed) {
        Some(answer) if answer.code() == UNIQUE_VIOLATION => match answer.constraint() {
            Some(constraint) if TAKEN.contains(&constraint) => AppendError::Conflict,
            _ => AppendError::Unavailable(Box::new(error)),
        },
        Some(answer) if UNKNOWN.contains(&answer.code()) => AppendError::Unknown(Box::new(error)),
        Some(_) => AppendError::Unavailable(Box::new(error)),
        // It never left this process.
        None if matches!(failed, sqlx::Error::Encode(_)) => AppendError::Unavailable(Box::new(error)),
        None => AppendError::Unknown(Box::new(error)),
    }
}

/// What an append came to that failed before the `COMMIT` of its turn was sent: nothing of it is in the log.
pub(super) fn of_append_in_turn(error: CallError) -> AppendError {
    match of_append(error) {
        AppendError::Unknown(source) => AppendError::Unavailable(source),
        known => known,
    }
}
