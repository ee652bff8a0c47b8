//! Opening connections.

use rusqlite::{Connection, OpenFlags};
use std::{path::Path, time::Duration};

/// Page cache of a connection that writes, in KiB.
const WRITE_CACHE_KIB: i64 = 32 * 1024;
/// Page cache of a connection that reads, in KiB.
const READ_CACHE_KIB: i64 = 8 * 1024;
/// What is left of a `-wal` file when it starts anew, at most, in bytes.
const WAL_FILE_MAX: i64 = 64 * 1024 * 1024;
/// Prepared statements kept by a connection.
const STATEMENTS: usize = 32;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading only.
    Read,
    /// Writing, each commit synced to disk before it is confirmed.
    Write,
}

/// Opens an existing file. Never creates one: a file that vanished is an outage, not a new start.
pub(crate) fn connect(path: &Path, purpose: Purpose, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    match purpose {
        Purpose::Read => {
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -READ_CACHE_KIB)?;
        }
        Purpose::Write => {
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
            connection.pragma_update_and_check(None, "journal_size_limit", WAL_FILE_MAX, |_| Ok(()))?;
        }
    }
    Ok(connection)
}
