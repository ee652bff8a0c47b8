//! Why a file can't be opened.

use std::{path::PathBuf, sync::Arc};

/// A file was refused, and left as it was.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct OpenError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It could not be read or written.
    #[error("can't be accessed: {0}")]
    Io(#[source] std::io::Error),
    /// SQLite could not read or write it, though nothing says that it is damaged: locked, disk full, read-only.
    #[error("can't be opened: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// It has no content. We never leave such a file behind, so something cut it to nothing.
    #[error("is empty: something cut it to nothing")]
    Empty,
    /// It is gone, but its `-wal` file, which holds what was committed last, is still there.
    #[error("is gone, but its -wal file is still there")]
    Gone,
    /// It is not an SQLite database, or its first page is destroyed.
    #[error("is not an SQLite database")]
    NotSqlite,
    /// It is an SQLite database of some other program, or another one of ours.
    #[error("is an SQLite database of something else (application id {0:#010x})")]
    Foreign(u32),
    /// Its end is missing.
    #[error("is cut short: page {page} of {pages} is missing")]
    Truncated {
        /// The first missing page.
        page: u32,
        /// How many there should be.
        pages: u32,
    },
    /// Its `-wal` file, which holds what was committed last, has lost its end.
    #[error("has lost the end of its -wal file: {found} of {expected} frames are left")]
    WalTruncated {
        /// Intact frames.
        found: u32,
        /// Frames that had been committed.
        expected: u32,
    },
    /// A newer version of this program has changed its tables.
    #[error("has schema version {found}, and this program knows only up to {known}")]
    NewerSchema {
        /// Of the file.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// Its content contradicts itself.
    #[error("is damaged: {0}")]
    Corrupted(String),
    /// A migration's name has no number, or numbers are not 1, 2, 3 …; a bug.
    #[error("can't be migrated: migration {0:?} is out of order")]
    Migration(String),
}

impl Problem {
    /// The problem of this file.
    pub(crate) fn of(self, path: &std::path::Path) -> OpenError {
        OpenError { path: path.to_owned(), problem: self }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DatabaseCorrupt) => Self::Corrupted(error.to_string()),
            Some(Code::NotADatabase) => Self::NotSqlite,
            _ => Self::Sqlite(error),
        }
    }
}

/// An SQLite error that several callers are told, because their work was in one transaction.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}")]
pub(crate) struct Shared {
    doing: &'static str,
    #[source]
    error: Arc<rusqlite::Error>,
}

impl Shared {
    /// `error` came up while `doing` this.
    pub(crate) fn new(doing: &'static str, error: rusqlite::Error) -> Self {
        Self { doing, error: Arc::new(error) }
    }

    /// What came up.
    pub(crate) fn error(&self) -> &rusqlite::Error {
        &self.error
    }
}
