//! Checking a file that is there before anything opens it for writing.

use super::{
    Kind, OpenError, Problem,
    header::{HEADER_LEN, Header},
    migrate,
    wal::Wal,
};
use crate::files::beside;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{fs::File, io::Read, path::Path, time::Duration};

/// Files up to this size are read through entirely at each start (`PRAGMA quick_check`); it takes about 0.2 s.
const QUICK_CHECK_MAX: u64 = 64 * 1024 * 1024;
/// Another process may be writing while we look, so a finding must show this many times in a row.
const LOOKS: u32 = 3;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(60);
/// How long a look waits for locks.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// Refuses a file that is not sound, and touches nothing.
///
/// Found at any size: not our file, a newer schema, a missing end (also of the WAL), a destroyed header or schema, and
/// what [`Kind::check`] finds. Found in files up to [`QUICK_CHECK_MAX`]: any page that is not what its neighbours say.
/// Not found: changed bytes inside a text, and in larger files damage where `check` does not look.
pub(super) fn inspect(path: &Path, kind: &Kind, known: u32) -> Result<(), OpenError> {
    let mut finding = None;
    for _ in 0..LOOKS {
        if finding.is_some() {
            std::thread::sleep(LOOK_AGAIN);
        }
        match outside(path, kind, known).and_then(|()| inside(path, kind, known)) {
            Ok(()) => return Ok(()),
            // These do not come from somebody else's writing.
            Err(problem @ (Problem::Foreign(_) | Problem::NewerSchema { .. } | Problem::Io(_))) => {
                return Err(problem.of(path));
            }
            Err(problem) => finding = Some(problem),
        }
    }
    finding.map_or(Ok(()), |problem| Err(problem.of(path)))
}

/// What can be seen without SQLite.
fn outside(path: &Path, kind: &Kind, known: u32) -> Result<(), Problem> {
    let wal = Wal::read(&beside(path, "-wal"))?;
    if let Some(expected) = wal.committed(&beside(path, "-shm"))?
        && expected > wal.frames
    {
        return Err(Problem::WalTruncated { found: wal.frames, expected });
    }
    let mut start = Vec::with_capacity(HEADER_LEN);
    let file = File::open(path)?;
    (&file).take(HEADER_LEN as u64).read_to_end(&mut start)?;
    // A WAL can hold the first page, so its absence is no proof; but we never leave a file without one.
    let header = Header::parse(&start)?;
    if header.application_id != kind.application_id {
        return Err(Problem::Foreign(header.application_id));
    }
    if header.user_version > known {
        return Err(Problem::NewerSchema { found: header.user_version, known });
    }
    let size = file.metadata()?.len();
    let whole = u32::try_from(size / u64::from(header.page_size)).unwrap_or(u32::MAX);
    let pages = if wal.pages > 0 { wal.pages } else { header.pages.unwrap_or(whole) };
    if let Some(page) = (whole.saturating_add(1)..=pages).find(|page| !wal.holds.contains(page)) {
        return Err(Problem::Truncated { page, pages });
    }
    Ok(())
}

/// What SQLite can see.
fn inside(path: &Path, kind: &Kind, known: u32) -> Result<(), Problem> {
    let connection = look(path)?;
    let found = migrate::applied(&connection)?;
    if found > known {
        return Err(Problem::NewerSchema { found, known });
    }
    if found == 0 {
        return Err(Problem::Corrupted("it does not say which schema it has".to_owned()));
    }
    if path.metadata()?.len() <= QUICK_CHECK_MAX {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        if verdict != "ok" {
            return Err(Problem::Corrupted(verdict));
        }
    }
    match (kind.check)(&connection)? {
        Some(finding) => Err(Problem::Corrupted(finding)),
        None => Ok(()),
    }
}

/// A connection that leaves the files as they are.
///
/// Without a `-wal` file nobody has the database open and it is complete; then `immutable` keeps SQLite from creating
/// one. With one that nobody uses, left by a crash, a lock keeps everybody else out and SQLite's index of it in memory.
/// Otherwise we are one reader among others.
pub(crate) fn look(path: &Path) -> Result<Connection, Problem> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !beside(path, "-wal").try_exists()? {
        return Ok(Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?);
    }
    if let Ok(connection) = alone(path) {
        return Ok(connection);
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOOK_WAIT)?;
    Ok(connection)
}

/// Opens a database with a `-wal` file that nobody else has open. Its exclusive lock asks for the right to write, which
/// is not used.
fn alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    Ok(connection)
}

/// The file as a URI (<https://www.sqlite.org/uri.html>), every unusual byte escaped.
fn immutable(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_path_stays_one_path() {
        assert_eq!(immutable(Path::new("/a b/c?d#e%.db")), "file:/a%20b/c%3Fd%23e%25.db?immutable=1");
    }
}
