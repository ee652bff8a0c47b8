//! [`Leadership`] by advisory locks: who holds a task's lock leads it, as long as the session that took it lives.
//!
//! A leader that dies closes its connection, and the server lets go of the lock at once. One that hangs or is cut off says
//! nothing any more, and the server ends its session after [`SILENCE_LIMIT`]; by then the leader, which gets no answers, has
//! given up by itself. Needs a session per connection, so no PgBouncer in transaction mode in between.

use super::{
    connect::{CONNECT_LIMIT, ConnectError, Target},
    error::PostgresOpenError,
};
use crate::random::hash;
use async_trait::async_trait;
use sqlx::{Connection, PgConnection, query_scalar};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use verbatim_application::ports::{Leadership, LeadershipError, Lease};

/// How long a leader may be silent before the server takes the lock from it
/// ([`idle_session_timeout`](https://www.postgresql.org/docs/current/runtime-config-client.html)).
pub const SILENCE_LIMIT: Duration = Duration::from_secs(3);
/// Between two signs of life of a leader.
const PING: Duration = Duration::from_millis(500);
/// How long the answer to one may take; then the leader gives up. That is two seconds at most after it sent the last sign of
/// life that was answered, so before the server's [`SILENCE_LIMIT`] lets anybody else lead.
const PING_LIMIT: Duration = Duration::from_secs(1);
/// How long asking for the lock may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// Advisory locks in a PostgreSQL database; processes that use the same database choose among themselves.
pub struct PostgresLeadership {
    target: Target,
    // The connection of the last try that found another leader, for the next try; it ends by itself if that is late.
    // The std lock: it is held for a take or a put, never across an await.
    candidate: Mutex<Option<PgConnection>>,
}

/// Why it can't be found out who leads.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("PostgreSQL failed: {0}")]
    Failed(#[from] sqlx::Error),
    #[error("PostgreSQL did not answer within {ASK_LIMIT:?}")]
    NoAnswer,
}

impl PostgresLeadership {
    /// Connects when first asked.
    ///
    /// # Errors
    /// [`PostgresOpenError::Url`]
    pub fn new(url: &str) -> Result<Self, PostgresOpenError> {
        let silence = format!("SET idle_session_timeout = '{}ms'", SILENCE_LIMIT.as_millis());
        Ok(Self { target: Target::parse(url)?.with(&silence), candidate: Mutex::default() })
    }

    fn candidate(&self) -> std::sync::MutexGuard<'_, Option<PgConnection>> {
        self.candidate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, lock: i64) -> Result<Option<PgConnection>, Failure> {
        let kept = self.candidate().take();
        if let Some(mut connection) = kept
            && let Ok(won) = take(&mut connection, lock).await
        {
            return Ok(self.keep(connection, won));
        }
        let mut connection = self.target.connect().await?;
        let won = take(&mut connection, lock).await?;
        Ok(self.keep(connection, won))
    }

    fn keep(&self, connection: PgConnection, won: bool) -> Option<PgConnection> {
        if won {
            return Some(connection);
        }
        *self.candidate() = Some(connection);
        None
    }
}

async fn take(connection: &mut PgConnection, lock: i64) -> Result<bool, Failure> {
    let asking = query_scalar("SELECT pg_try_advisory_lock($1)").bind(lock).fetch_one(connection);
    Ok(timeout(ASK_LIMIT, asking).await.map_err(|_| Failure::NoAnswer)??)
}

/// The number of a task's lock: a hash, so that it meets no other lock by chance.
fn lock_of(task: &str) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = hash(format!("verbatim leads {task}"));
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Gives signs of life until one is not answered.
async fn hold(mut connection: PgConnection, lost: watch::Sender<bool>) {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ping.tick().await;
        match timeout(PING_LIMIT, connection.ping()).await {
            Ok(Ok(())) => {}
            _ => break,
        }
    }
    // Whoever waits for this logs it, and what it means there.
    let _ = lost.send(true);
}

#[async_trait]
impl Leadership for PostgresLeadership {
    /// Takes [`CONNECT_LIMIT`] and two seconds at most. The lease is given back when it is dropped: its connection closes.
    async fn try_lead(&self, task: &str) -> Result<Option<Lease>, LeadershipError> {
        let limit = CONNECT_LIMIT + 2 * ASK_LIMIT;
        let asked = timeout(limit, self.ask(lock_of(task))).await.unwrap_or(Err(Failure::NoAnswer));
        let won = asked.map_err(|error| LeadershipError(Box::new(error)))?;
        Ok(won.map(|connection| {
            let (sender, lost) = watch::channel(false);
            let holding = AbortOnDropHandle::new(tokio::spawn(hold(connection, sender)));
            Lease::new(lost, Box::new(holding))
        }))
    }
}
