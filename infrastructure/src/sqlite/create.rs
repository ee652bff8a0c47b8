//! Creating a file, whole or not at all.

use super::{Kind, OpenError, Problem, migrate};
use crate::files::{beside, private, provisional, publish};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File, OpenOptions},
    path::Path,
};

/// Whether there is a file.
pub(super) fn is_there(path: &Path) -> Result<bool, OpenError> {
    let exists = |path: &Path| path.try_exists().map_err(|error| Problem::Io(error).of(path));
    if exists(path)? {
        return Ok(true);
    }
    let wal = beside(path, "-wal");
    match fs::metadata(&wal) {
        // A new database beside an old WAL would throw the WAL away.
        Ok(meta) if meta.len() > 0 => Err(Problem::Gone.of(path)),
        _ => Ok(false),
    }
}

/// Creates the file under another name and gives it its own when it is complete. So a file that is there is never half
/// made, and of two processes that start at once both go on with the same one.
pub(super) fn create(path: &Path, kind: &Kind, steps: &[migrate::Step<'_>]) -> Result<(), OpenError> {
    let new = provisional(path);
    let outcome = build(&new, kind, steps).and_then(|()| publish(&new, path).map_err(Problem::Io));
    for rest in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(&new, rest));
    }
    outcome.map_err(|problem| problem.of(path))
}

fn build(new: &Path, kind: &Kind, steps: &[migrate::Step<'_>]) -> Result<(), Problem> {
    private(OpenOptions::new().write(true).create(true).truncate(true)).open(new)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(new, flags)?;
    migrate::apply_to(&mut connection, kind, steps)?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(new)?.sync_all()?;
    Ok(())
}
