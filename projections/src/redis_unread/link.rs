//! The readers' connection. It is made, watched and made anew in the background: a read never waits for that.

use super::{Shared, connection::Connection, diagnosis::is_of, failure::Failure, store::Store};
use crate::runner::Backoff;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;
use verbatim_application::{error::causes, ports::UnreadReader};
use verbatim_domain::MemberId;

/// How often the connection is tried when nobody reads, so that one that nobody answers on is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to connect.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// After a read that failed, Redis is left alone for so long, even if it can be reached again.
const BREAK: Duration = Duration::from_millis(500);
/// Behind what was shown for so long, the connection is made anew: it may lead to a server that is no longer the one.
const BEHIND_LIMIT: Duration = Duration::from_secs(5);

/// The longest the relational read models may take to say where they are; without that it goes on.
const RELATIONAL_LIMIT: Duration = Duration::from_millis(500);

/// A connection with its number: a failure of an earlier one says nothing about this one.
struct Held {
    connection: Connection,
    number: u64,
}

/// Why a connection is watched no longer.
enum Ended {
    /// A read failed on it, and has said so.
    Read,
    /// Looking at it failed.
    Look(Failure),
    /// It works, but shows an old state.
    Behind,
}

/// Gives readers a connection if there is one that works.
pub(super) struct Link {
    shared: Arc<Shared>,
    fallback: Arc<dyn UnreadReader>,
    held: Mutex<Option<Held>>,
    made: AtomicU64,
    broken: Notify,
    /// So that reads which Redis refuses are told once.
    refused: AtomicBool,
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, fallback: Arc<dyn UnreadReader>) -> Self {
        Self {
            shared,
            fallback,
            held: Mutex::default(),
            made: AtomicU64::new(0),
            broken: Notify::new(),
            refused: AtomicBool::new(false),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        // A std lock: it is held for the time of a clone.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection with its number, if there is one.
    pub(super) fn current(&self) -> Option<(Connection, u64)> {
        self.held().as_ref().map(|held| (held.connection.clone(), held.number))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.held().is_some()
    }

    /// How often a connection was made.
    pub(super) fn connections(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// A read went well.
    pub(super) fn worked(&self) {
        if self.refused.load(Ordering::Relaxed) && self.refused.swap(false, Ordering::Relaxed) {
            tracing::info!(address = %self.shared.server, "unread counts can be read from Redis again");
        }
    }

    /// A read failed. If the connection is to blame nobody uses it any more.
    pub(super) fn failed(&self, number: u64, failure: &Failure) {
        if failure.is_of_connection() {
            let mut held = self.held();
            if held.as_ref().is_some_and(|held| held.number == number) {
                *held = None;
                let error = causes(failure);
                tracing::error!(error, address = %self.shared.server, "unread counts are read from the relational read models");
                self.broken.notify_one();
            }
        } else if !self.refused.swap(true, Ordering::Relaxed) {
            let error = causes(failure);
            tracing::error!(error, address = %self.shared.server, "Redis does not give unread counts; the relational read models do");
        }
    }

    /// Connects, watches the connection and connects again, for ever.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        let mut down = false;
        loop {
            match self.connect().await {
                Ok(store) => {
                    if std::mem::take(&mut down) {
                        tracing::info!(address = %self.shared.server, "unread counts are read from Redis");
                    }
                    backoff = Backoff::new();
                    match self.watch(store).await {
                        Ended::Behind => continue,
                        Ended::Read => {}
                        Ended::Look(failure) => {
                            let error = causes(&failure);
                            tracing::error!(error, address = %self.shared.server, "the connection to Redis is lost");
                        }
                    }
                    down = true;
                    tokio::time::sleep(BREAK).await;
                }
                Err(failure) => {
                    if !std::mem::replace(&mut down, true) {
                        let error = causes(&failure);
                        tracing::error!(error, address = %self.shared.server, "Redis can't be read; trying again");
                    }
                    tokio::time::sleep(backoff.next().min(PAUSE_MAX)).await;
                }
            }
        }
    }

    /// A connection to a Redis whose counts are of this log, or that has none yet.
    async fn connect(&self) -> Result<Store, Failure> {
        let mut store = Store::connect(&self.shared.server).await?;
        let state = store.state().await?;
        if let Some(active) = &state.active
            && !is_of(active, &self.shared.log).await?
        {
            return Err(Failure::Foreign);
        }
        self.shared.saw(&state);
        self.shared.check_eviction(&mut store).await;
        self.look_at_relational().await;
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        *self.held() = Some(Held { connection: store.0.clone(), number });
        Ok(store)
    }

    /// Redis may show an older state than the one before, also to a process that has shown nothing yet: what the
    /// relational read models contain is the least to be shown. Those of nobody tell that as well as any.
    async fn look_at_relational(&self) {
        let nobody = MemberId::from_uuid(Uuid::nil());
        let read = tokio::time::timeout(RELATIONAL_LIMIT, self.fallback.unread(nobody)).await;
        if let Ok(Ok(snapshot)) = read {
            self.shared.floor.promise(snapshot.position);
        }
    }

    /// Looks at Redis from time to time, until the connection is of no use.
    async fn watch(&self, mut store: Store) -> Ended {
        let mut behind_since: Option<Instant> = None;
        let ended = loop {
            tokio::select! {
                () = self.broken.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if !self.is_connected() {
                break Ended::Read;
            }
            let state = match store.state().await {
                Ok(state) => state,
                Err(failure) => break Ended::Look(failure),
            };
            self.shared.saw(&state);
            if state.active.is_none_or(|active| active.position >= self.shared.floor.get()) {
                behind_since = None;
            } else if behind_since.get_or_insert_with(Instant::now).elapsed() > BEHIND_LIMIT {
                break Ended::Behind;
            }
        };
        *self.held() = None;
        ended
    }
}
