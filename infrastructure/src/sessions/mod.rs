//! Sessions and the limits on guessing passwords, in an SQLite file of their own: they are no facts about conversations,
//! and losing them costs a log-in.

mod limiter;
pub(crate) mod limits;
mod store;
pub(crate) mod token;

pub use limiter::SqliteLoginLimiter;
pub use limits::{
    ACCOUNT_FREE_FAILURES, ACCOUNT_LONGEST_WAIT, ADDRESS_FAILURES, ADDRESS_WINDOW, FAILURE_ROWS,
};
pub use store::{REFRESH_LIFETIME, SESSIONS_PER_MEMBER, SqliteSessionStore};

use crate::sqlite::{CallError, Calls, Kind, Migration, OpenError, Purpose, prepare};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{path::Path, sync::Arc, time::Duration};
use verbatim_application::ports::IdentityError;
use verbatim_domain::Timestamp;

/// "VbSe" in the file's header.
const KIND: Kind = Kind { application_id: u32::from_be_bytes(*b"VbSe"), check };
/// Rows that have had their time and are removed with each write, at most.
pub(crate) const SWEEP: u32 = 32;

fn check(file: &Connection) -> rusqlite::Result<Option<String>> {
    let tables = ["sessions", "account_failures", "address_failures"];
    let missing = tables.iter().find_map(|table| file.prepare(&format!("SELECT 1 FROM {table}")).err());
    Ok(missing.map(|error| error.to_string()))
}

/// The file. The session store and the limiter on it are two views.
#[derive(Clone)]
pub struct SqliteSessions(Arc<Calls>);

impl SqliteSessions {
    /// Opens `path`, creating it if there is none (its folder must exist), and applies `migrations`. Blocks; call it at
    /// start-up.
    ///
    /// # Errors
    /// [`OpenError`] when the file is not a sound one that this program can use. Then it was not touched.
    pub fn open(path: impl AsRef<Path>, migrations: &[Migration<'_>]) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let in_use = prepare(path, &KIND, migrations)?;
        // SQLite lets one write at a time, so one connection is as good as many.
        Ok(Self(Arc::new(Calls::new(path.to_owned(), Purpose::Write, 1, in_use))))
    }

    /// The sessions; refresh tokens live this long ([`REFRESH_LIFETIME`] by default), each from its issue.
    #[must_use]
    pub fn store(&self, lifetime: Duration) -> SqliteSessionStore {
        SqliteSessionStore::new(self.clone(), lifetime)
    }

    /// The limits on guessing.
    #[must_use]
    pub fn limiter(&self) -> SqliteLoginLimiter {
        SqliteLoginLimiter::new(self.clone())
    }

    /// Runs `work` in a transaction, which commits if it succeeds.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let outcome = self.0.call(move |file| {
            let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        outcome.await.map_err(|error| match error {
            CallError::QueueFull => IdentityError::Overloaded,
            other => IdentityError::Unavailable(Box::new(other)),
        })
    }
}

/// Microseconds, as the file holds times; far beyond any real one, they stop.
fn micros(at: Timestamp, after: Duration) -> i64 {
    let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
    at.timestamp_micros().saturating_add(after)
}
