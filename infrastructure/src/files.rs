//! Files that appear whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// The file beside `path` whose name has this suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name of its own for a file that is to become `path`.
pub(crate) fn provisional(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    beside(path, &format!(".new-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Gives a finished file its name, unless that is taken: then the one who was first has won, and this is no error.
///
/// Links, rather than renames: that fails if the name is taken.
pub(crate) fn publish(new: &Path, path: &Path) -> std::io::Result<()> {
    match fs::hard_link(new, path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        // Some file systems have no links. There, two first starts at the same moment are not guarded against.
        Err(_) => fs::rename(new, path)?,
    }
    sync_folder(path)
}

/// Makes a new name survive a power failure.
fn sync_folder(path: &Path) -> std::io::Result<()> {
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
