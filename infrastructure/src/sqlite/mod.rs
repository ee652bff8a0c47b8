//! What the embedded adapters share: creating, checking, migrating and opening an SQLite file that is ours.

mod calls;
mod connect;
mod create;
mod error;
mod header;
mod in_use;
mod inspect;
mod migrate;
mod wal;

pub use calls::{CALL_LIMIT, CALL_QUEUE};
pub(crate) use calls::{CallError, Calls};
pub(crate) use connect::{Purpose, connect};
pub(crate) use error::Shared;
pub use error::{OpenError, Problem};
pub(crate) use in_use::InUse;
pub(crate) use inspect::look;
pub(crate) use wal::WalFrames;

use std::path::Path;

/// A migration: its name, which starts with its number and `_`, and its SQL.
pub type Migration<'a> = (&'a str, &'a str);

/// What tells one of our files from any other SQLite file.
pub(crate) struct Kind {
    /// `PRAGMA application_id`.
    pub(crate) application_id: u32,
    /// Looks at the content, read-only and quickly; says what is wrong with it.
    pub(crate) check: fn(&rusqlite::Connection) -> rusqlite::Result<Option<String>>,
}

/// Makes sure that `path` holds a sound file of this kind with all `migrations` applied: creates it when there is none,
/// refuses it untouched when something is wrong with it. What is returned is kept as long as the file is open.
///
/// # Errors
/// [`OpenError`]
pub(crate) fn prepare(path: &Path, kind: &Kind, migrations: &[Migration<'_>]) -> Result<InUse, OpenError> {
    let steps = migrate::parse(path, migrations)?;
    if !create::is_there(path)? {
        create::create(path, kind, &steps)?;
    }
    let in_use = InUse::enter(path, || inspect::inspect(path, kind, migrate::latest(&steps)))?;
    migrate::apply(path, kind, &steps)?;
    Ok(in_use)
}
