//! Creating a file, whole or not at all.

use super::{Kind, OpenError, Problem, inspect::beside, migrate};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
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
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let suffix = format!(".new-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let new = beside(path, &suffix);
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

/// Links, rather than renames: that fails if the name is taken.
fn publish(new: &Path, path: &Path) -> std::io::Result<()> {
    match fs::hard_link(new, path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        // Some file systems have no links. There, two first starts at the same moment are not guarded against.
        Err(_) => fs::rename(new, path)?,
    }
    sync_folder(path)
}

/// Makes a new name survive a power failure.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Only the owner may read: there are hashes of passwords and tokens inside. SQLite gives its side files the same mode.
#[cfg(unix)]
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

/// Elsewhere the folder's rights decide.
#[cfg(not(unix))]
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
