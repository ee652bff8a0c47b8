//! Unread counts in Redis, beside those in the relational read models, which answer whenever Redis can't.
//!
//! A runner of its own folds the log into Redis: one script applies what a batch changes and moves the position, if the
//! version still is where the runner believes (compare-and-set). So each event counts once, whoever writes. What Redis
//! holds is at any moment the fold of the log up to its position, which is what makes its losses harmless:
//!
//! - An older state (a replica that lagged took over): the runner goes on from that position. Nobody reads counts older
//!   than what this node has shown or promised ([`floor`]); the relational read models answer meanwhile.
//! - No state (FLUSHALL, a restart without persistence), that of another log or of another release: a new version is filled
//!   from the first event and then made active, by itself.
//! - A key that is gone or changed without the others can't be noticed by the position: `verify` finds it, `rebuild` mends
//!   it. Therefore `maxmemory-policy` must be `noeviction`; another one is warned about once.
//!
//! [`keys`] says what stands where.

mod admin;
mod answer;
mod batch;
mod compare;
mod connection;
mod diagnosis;
mod expected;
mod failure;
mod fill;
mod floor;
mod keys;
mod link;
mod reader;
mod runner;
mod script;
mod store;
mod trouble;
mod verify;

pub use admin::RedisUnreadAdmin;
pub use reader::ReadStatistics;

use crate::{NoObserver, Observer, ProjectionError};
use connection::Server;
use failure::Failure;
use floor::{Floor, Promising};
use link::Link;
use reader::Reader;
use runner::Runner;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use store::{State, Store};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use verbatim_application::ports::{Clock, EventLog, Leadership, Positions, UnreadReader};

/// Stable name of the projection.
pub const NAME: &str = "unread_redis";

/// What readers, runner and verbs have in common.
struct Shared {
    server: Server,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    floor: Arc<Floor>,
    /// Position of the active version, as last seen.
    applied: watch::Sender<u64>,
    /// The versions, as last seen.
    seen: Mutex<State>,
    eviction_checked: AtomicBool,
    /// Held by whatever switches, fills or drops versions in this process: one at a time.
    operation: tokio::sync::Mutex<()>,
}

impl Shared {
    fn new(
        url: &str,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Self>, ProjectionError> {
        Ok(Arc::new(Self {
            server: Server::parse(url).map_err(Failure::Redis)?,
            log,
            clock,
            observer,
            floor: Arc::default(),
            applied: watch::Sender::new(0),
            seen: Mutex::default(),
            eviction_checked: AtomicBool::new(false),
            operation: tokio::sync::Mutex::default(),
        }))
    }

    fn last_seen(&self) -> State {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of the versions.
    fn saw(&self, state: &State) {
        self.applied.send_replace(state.active.as_ref().map_or(0, |active| active.position));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone_from(state);
    }

    /// Warns once if Redis may throw keys away.
    async fn check_eviction(&self, store: &mut Store) {
        if self.eviction_checked.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(policy) = store.eviction_policy().await.filter(|policy| policy != "noeviction") {
            tracing::warn!(
                address = %self.server,
                "Redis may evict unread counts (maxmemory-policy {policy}), which nothing notices: set it to noeviction"
            );
        }
    }
}

/// Ends a task with the value that stands for it.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Unread counts in Redis: their reader, their runner, and the operators' verbs.
#[derive(Clone)]
pub struct RedisUnread {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    relational: Arc<dyn Positions>,
    leadership: Option<Arc<dyn Leadership>>,
    _keeping: Arc<Background>,
}

impl RedisUnread {
    /// Takes the Redis at `url` (`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://` for TLS; of a Redis Cluster
    /// that of any of its servers) without waiting for it: it is connected to in the background, then and whenever it
    /// comes back. `fallback` and `relational` are of the relational read models.
    /// Without `leadership` this process takes it that it leads. To be called within a tokio runtime.
    ///
    /// # Errors
    /// The URL is none of a Redis. The error does not show it, for it may contain a password.
    pub fn open(
        url: &str,
        log: Arc<dyn EventLog>,
        fallback: Arc<dyn UnreadReader>,
        relational: Arc<dyn Positions>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        leadership: Option<Arc<dyn Leadership>>,
    ) -> Result<Self, ProjectionError> {
        let shared = Shared::new(url, log, clock, observer)?;
        let link = Arc::new(Link::new(Arc::clone(&shared), Arc::clone(&fallback)));
        let keeping = tokio::spawn(Arc::clone(&link).keep());
        let reader = Reader::new(link, Arc::clone(&shared.floor), fallback, Arc::clone(&relational));
        let (reader, _keeping) = (Arc::new(reader), Arc::new(Background(keeping)));
        Ok(Self { shared, reader, relational, leadership, _keeping })
    }

    /// Unread counts, from Redis or from the fallback. None is older than what this node has shown or promised before.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn UnreadReader> {
        Arc::clone(&self.reader) as Arc<dyn UnreadReader>
    }

    /// The relational positions, for reads that must see a write: whoever waited for one finds it in the counts, too.
    #[must_use]
    pub fn positions(&self) -> Arc<dyn Positions> {
        let (inner, floor) = (Arc::clone(&self.relational), Arc::clone(&self.shared.floor));
        Arc::new(Promising { inner, floor })
    }

    /// No later answer will be older than this position, which the relational read models contain. To be called with the
    /// position of every push before the hub hands it on.
    pub fn promise(&self, position: u64) {
        self.shared.floor.promise(position);
    }

    /// Whether reads reach Redis now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.reader.link.is_connected()
    }

    /// Tells, whenever it is asked, what [`Self::is_connected`] does, without keeping the connection open.
    pub fn connected(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let reader = Arc::downgrade(&self.reader);
        move || reader.upgrade().is_some_and(|reader| reader.link.is_connected())
    }

    /// How far the counts in Redis are, as last seen: at each batch if this process leads, else every second.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.shared.applied.subscribe()
    }

    /// How reads have fared.
    #[must_use]
    pub fn statistics(&self) -> ReadStatistics {
        self.reader.statistics()
    }

    /// The operators' verbs.
    #[must_use]
    pub fn admin(&self) -> RedisUnreadAdmin {
        RedisUnreadAdmin::new(Arc::clone(&self.shared))
    }

    /// Keeps the counts at the head of the log while this process leads, until told to stop; waits failures out and goes
    /// on by itself.
    pub async fn run(&self, shutdown: CancellationToken) {
        Runner::new(Arc::clone(&self.shared), self.leadership.clone()).run(shutdown).await;
    }
}

impl std::fmt::Debug for RedisUnread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connected = self.is_connected();
        f.debug_struct("RedisUnread").field("connected", &connected).finish_non_exhaustive()
    }
}

/// For the operators' verbs, which nobody watches.
fn nobody() -> Arc<dyn Observer> {
    Arc::new(NoObserver)
}
