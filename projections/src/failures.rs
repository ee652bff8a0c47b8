//! What a failure of the database means.

use sea_orm::{
    ConnAcquireErr, DbErr, RuntimeErr,
    sqlx::{self, mysql::MySqlDatabaseError, sqlite::SqliteError},
};
use std::time::Duration;

/// MySQL: chosen to give way in a deadlock.
const DEADLOCK: u16 = 1213;
/// MySQL: too many connections, shutting down, starting up, killed, or hung up.
const NOT_SERVING: [u16; 7] = [1040, 1053, 1077, 1079, 1152, 1927, 3169];

/// The server gave no answer in time.
pub(crate) fn late(limit: Duration) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("the database server gave no answer in {limit:?}")))
}

/// What was asked on a task of its own ended without an answer, which only a panic or the end of the runtime does.
pub(crate) fn broken_off() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the question to the database was broken off".to_owned()))
}

/// Another process changes the schema, and takes its time.
pub(crate) fn schema_taken() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("another process is changing the schema of the read models".to_owned()))
}

fn of_sqlx(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn mysql_number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// Whether another process has the SQLite file now. The primary code for that is 5; extended codes keep it in the lowest
/// byte. (MySQL waits by itself.)
pub(crate) fn is_busy(error: &DbErr) -> bool {
    let sqlite = of_sqlx(error).and_then(sqlx::Error::as_database_error);
    let sqlite = sqlite.and_then(|error| error.try_downcast_ref::<SqliteError>());
    let code = sqlite.and_then(|error| sqlx::error::DatabaseError::code(error)?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// Whether MySQL has broken a transaction off for the good of another one; the same again should do.
pub(crate) fn is_deadlock(error: &DbErr) -> bool {
    of_sqlx(error).and_then(mysql_number) == Some(DEADLOCK)
}

/// Whether the database can't be reached, or does not answer: it may be back later, and nothing is wrong with what was
/// asked.
pub(crate) fn is_away(error: &DbErr) -> bool {
    if let DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) | DbErr::Conn(RuntimeErr::Internal(_)) = error {
        return true;
    }
    of_sqlx(error).is_some_and(|error| match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
        error => mysql_number(error).is_some_and(|number| NOT_SERVING.contains(&number)),
    })
}
