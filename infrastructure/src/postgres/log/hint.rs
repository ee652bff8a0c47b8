//! The task that notices what other nodes append.

use super::{append::CHANNEL, rows};
use crate::postgres::connect::{CONNECT_LIMIT, Target};
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use verbatim_application::error::causes;

/// How often the log itself is asked, so that a lost notification costs no more than this; on the connection that listens,
/// so that one that is dead is noticed.
const POLL: Duration = Duration::from_secs(1);
/// How long that may take.
const POLL_LIMIT: Duration = Duration::from_secs(2);
/// Between two tries to listen, while the server is away.
const RETRY: Duration = Duration::from_secs(1);

/// Where the head is known to be, and whom to tell.
#[derive(Clone)]
pub(super) struct Hint(Arc<watch::Sender<u64>>);

impl Hint {
    pub(super) fn new(head: u64) -> Self {
        Self(Arc::new(watch::Sender::new(head)))
    }

    /// The head is at least here.
    pub(super) fn raise(&self, head: u64) {
        self.0.send_if_modified(|known| head > std::mem::replace(known, head.max(*known)));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    pub(super) fn known(&self) -> u64 {
        *self.0.borrow()
    }

    /// Starts the task; it ends when the handle is dropped.
    pub(super) fn follow(&self, target: Target) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(run(target, self.clone())))
    }
}

async fn run(target: Target, hint: Hint) {
    let mut away = false;
    loop {
        let error = match listen(&target).await {
            Ok(listener) => {
                if std::mem::take(&mut away) {
                    tracing::info!("the event log tells again what others append");
                }
                follow(listener, &hint).await
            }
            Err(error) => error,
        };
        // Once for each outage, however often it is tried.
        if !std::mem::replace(&mut away, true) {
            tracing::error!(error = causes(&error), "the event log no longer tells what others append");
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// sqlx listens only on connections of its own pool. Each listener has a pool to itself, because giving back a dead
/// connection has no time limit there.
async fn listen(target: &Target) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_LIMIT);
    let pool = pool.idle_timeout(None).max_lifetime(None).connect_lazy_with(target.options().clone());
    let listening = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    };
    timeout(CONNECT_LIMIT, listening).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Until the connection is lost; then says why.
async fn follow(mut listener: PgListener, hint: &Hint) -> sqlx::Error {
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            notified = listener.try_recv() => match notified {
                Ok(Some(notification)) => {
                    if let Ok(head) = notification.payload().parse() {
                        hint.raise(head);
                    }
                }
                Ok(None) => return sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()),
                Err(error) => return error,
            },
            _ = poll.tick() => {
                let head = sqlx::query(rows::HEAD).fetch_one(&mut listener);
                match timeout(POLL_LIMIT, head).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                    Ok(row) => hint.raise(rows::number(&row, 0).unwrap_or_default()),
                    Err(error) => return error,
                }
            }
        }
    }
}
