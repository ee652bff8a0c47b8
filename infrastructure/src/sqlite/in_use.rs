//! Which files this process has open through SQLite.
//!
//! A POSIX lock belongs to a process, and closing any descriptor of a file gives up all of them
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.2). So a file may be read without SQLite only while this process
//! does not have it open with SQLite.

use super::OpenError;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Counts = HashMap<PathBuf, usize>;

static OPEN: Mutex<Option<Counts>> = Mutex::new(None);

/// Says that this process has a file open, as long as any clone of it lives.
#[derive(Clone)]
pub(crate) struct InUse {
    _entry: Arc<Entry>,
}

struct Entry(PathBuf);

fn counts() -> MutexGuard<'static, Option<Counts>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InUse {
    /// Enters a file that is there. If it is not in use here yet, `check` runs first, and nobody else enters it meanwhile.
    pub(super) fn enter(
        path: &Path,
        check: impl FnOnce() -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let name = path.canonicalize().map_err(|error| super::Problem::Io(error).of(path))?;
        let mut counts = counts();
        let count = counts.get_or_insert_default().entry(name.clone()).or_default();
        if *count == 0 {
            check()?;
        }
        *count += 1;
        Ok(Self { _entry: Arc::new(Entry(name)) })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut counts = counts();
        let Some(counts) = counts.as_mut() else { return };
        if let Some(count) = counts.get_mut(&self.0) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.0);
            }
        }
    }
}
