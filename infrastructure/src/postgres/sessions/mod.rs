//! What the nodes of a cluster share of sessions: refresh tokens, failed log-ins, tickets. They are no facts about
//! conversations, and losing them costs a log-in.

mod limiter;
mod store;
mod tickets;

pub use limiter::PostgresLoginLimiter;
pub use store::PostgresSessionStore;
pub use tickets::PostgresTickets;

use super::{CallError, PoolStats, PostgresOpenError, connect::Target, migrate::Schema, pool::Pool};
use crate::sqlite::Migration;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use std::time::Duration;
use verbatim_application::ports::IdentityError;
use verbatim_domain::Timestamp;

/// Connections of one node for sessions.
pub const SESSION_CONNECTIONS: usize = 4;

/// How the tables are opened.
#[derive(Debug, Clone)]
pub struct PostgresSessionsOptions {
    /// Applies migrations that are missing. Otherwise a database that lacks some is refused.
    pub migrate: bool,
    /// Connections at the same time, at most.
    pub connections: usize,
}

impl Default for PostgresSessionsOptions {
    fn default() -> Self {
        Self { migrate: true, connections: SESSION_CONNECTIONS }
    }
}

/// The tables. The session store, the limiter and the tickets are three views of them.
#[derive(Clone)]
pub struct PostgresSessions(Pool);

impl PostgresSessions {
    /// Opens the tables in the database of a `postgres://` URL, with `migrations` applied first, by as many nodes at once
    /// as like. They may share the database with the event log.
    ///
    /// # Errors
    /// [`PostgresOpenError`] when there are none that this program can use. Then nothing was changed.
    pub async fn open(
        url: &str,
        migrations: &[Migration<'_>],
        options: PostgresSessionsOptions,
    ) -> Result<Self, PostgresOpenError> {
        let target = Target::parse(url)?;
        Schema::parse("sessions", migrations)?.ensure(&target, options.migrate).await?;
        Ok(Self(Pool::new(target, options.connections)))
    }

    /// The sessions; refresh tokens live this long ([`crate::sessions::REFRESH_LIFETIME`] by default), each from its issue.
    #[must_use]
    pub fn store(&self, lifetime: Duration) -> PostgresSessionStore {
        PostgresSessionStore::new(self.clone(), lifetime)
    }

    /// The limits on guessing.
    #[must_use]
    pub fn limiter(&self) -> PostgresLoginLimiter {
        PostgresLoginLimiter::new(self.clone())
    }

    /// The tickets.
    #[must_use]
    pub fn tickets(&self) -> PostgresTickets {
        PostgresTickets::new(self.clone())
    }

    /// The connections.
    #[must_use]
    pub fn connections(&self) -> PoolStats {
        self.0.stats()
    }

    /// Runs `work` on a connection; each of its statements commits by itself unless it begins a transaction.
    async fn call<T>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
    ) -> Result<T, IdentityError> {
        self.0.call(work).await.map_err(|error| match error {
            CallError::QueueFull => IdentityError::Overloaded,
            other => IdentityError::Unavailable(Box::new(other)),
        })
    }
}

/// A moment later; far beyond any real one, they stop.
fn later(at: Timestamp, after: Duration) -> Timestamp {
    let after = chrono::TimeDelta::from_std(after).ok();
    after.and_then(|after| at.checked_add_signed(after)).unwrap_or(Timestamp::MAX_UTC)
}
