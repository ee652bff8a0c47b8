//! The way in.

use crate::{
    Admin, NoObserver, Observer, PoolStatus, ProjectionError,
    db::Database,
    failures,
    follow::follow,
    lead::{lead, serve},
    patience::Backoff,
    readers::Readers,
    replay::LogReplay,
    shared::Shared,
};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verbatim_application::error::causes;
use verbatim_application::ports::{
    Broadcast, Clock, EventLog, HistoryReader, Leadership, MemberReader, Positions, ReadError, Replay,
    RoomReader, UnreadReader,
};

/// What read models may be given besides what they need.
#[derive(Clone)]
pub struct Options {
    /// A hook for metrics.
    pub observer: Arc<dyn Observer>,
    /// Chooses the process of a cluster that writes. Without it, nobody else does: this one always writes.
    pub leadership: Option<Arc<dyn Leadership>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { observer: Arc::new(NoObserver), leadership: None }
    }
}

/// The read models of one database: their readers, their runner, and the operators' verbs.
#[derive(Clone)]
pub struct ReadModels {
    shared: Arc<Shared>,
    broadcast: Arc<dyn Broadcast>,
    leadership: Option<Arc<dyn Leadership>>,
}

impl ReadModels {
    /// Opens the database at `url` (`sqlite:PATH` or `mysql://...`), brings its schema up to date as needed (a file is
    /// created too), and checks that what it holds is of this log and of this program. What is not is not read until
    /// [`Self::run`] has filled it anew.
    ///
    /// A MySQL server that is away is no error: nothing is read until [`Self::run`] has found it, and the service can do
    /// meanwhile what needs no reading. One that is there and refuses is an error.
    ///
    /// # Errors
    /// The database can't be opened, or the log not be read.
    pub async fn open(
        url: &str,
        log: Arc<dyn EventLog>,
        broadcast: Arc<dyn Broadcast>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProjectionError> {
        Self::open_with(url, log, broadcast, clock, Options::default()).await
    }

    /// As [`Self::open`], with a hook for metrics.
    ///
    /// # Errors
    /// The database can't be opened, or the log not be read.
    pub async fn open_observed(
        url: &str,
        log: Arc<dyn EventLog>,
        broadcast: Arc<dyn Broadcast>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, ProjectionError> {
        let options = Options { observer, ..Options::default() };
        Self::open_with(url, log, broadcast, clock, options).await
    }

    /// As [`Self::open`], as one of a cluster if the options say so.
    ///
    /// # Errors
    /// The database can't be opened, or the log not be read.
    pub async fn open_with(
        url: &str,
        log: Arc<dyn EventLog>,
        broadcast: Arc<dyn Broadcast>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, ProjectionError> {
        let Options { observer, leadership } = options;
        let db = Box::pin(Database::open(url)).await?;
        let shared = Arc::new(Shared::new(db, log, clock, observer, leadership.is_some()));
        match Box::pin(shared.prepare()).await {
            Ok(()) => {}
            Err(ProjectionError::Database(error)) if shared.db.is_mysql() && failures::is_away(&error) => {
                tracing::error!(error = causes(&error), "the read models can't be reached; starting without");
            }
            Err(error) => return Err(error),
        }
        Ok(Self { shared, broadcast, leadership })
    }

    fn readers(&self) -> Arc<Readers> {
        Arc::new(Readers::new(Arc::clone(&self.shared)))
    }

    /// Message history.
    #[must_use]
    pub fn history(&self) -> Arc<dyn HistoryReader> {
        self.readers()
    }

    /// Rooms and who is in them.
    #[must_use]
    pub fn rooms(&self) -> Arc<dyn RoomReader> {
        self.readers()
    }

    /// The directory of members.
    #[must_use]
    pub fn members(&self) -> Arc<dyn MemberReader> {
        self.readers()
    }

    /// Unread counts.
    #[must_use]
    pub fn unread(&self) -> Arc<dyn UnreadReader> {
        self.readers()
    }

    /// How far the live projections are, whichever process writes them.
    #[must_use]
    pub fn positions(&self) -> Arc<dyn Positions> {
        self.readers()
    }

    /// What was told, told again.
    #[must_use]
    pub fn replay(&self) -> Arc<dyn Replay> {
        Arc::new(LogReplay::new(Arc::clone(&self.shared)))
    }

    /// The last position that every live projection contains, as it changes. While another process writes them and
    /// nobody waits for a position, it is up to half a second old.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.shared.applied.subscribe()
    }

    /// Whether this process writes the live projections, as it changes.
    #[must_use]
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.shared.leading.subscribe()
    }

    /// Whether this process writes the live projections now.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        *self.shared.leading.borrow()
    }

    /// Tells, whenever it is asked, how many connections to the database there are: those that write and those that
    /// read. It does not keep the read models open; `None` once they are gone.
    pub fn pools(&self) -> impl Fn() -> Option<[PoolStatus; 2]> + Send + Sync + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.upgrade().map(|shared| shared.db.pools())
    }

    /// Names of the projections that can't be read now: they are filled anew from the start, or the database has not
    /// been reached yet.
    #[must_use]
    pub fn closed(&self) -> Vec<&'static str> {
        self.shared.gate.closed().into_keys().collect()
    }

    /// Whether the database answers, within [`READ_LIMIT`](crate::READ_LIMIT).
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), ReadError> {
        LogReplay::new(Arc::clone(&self.shared)).ping().await
    }

    /// The operators' verbs.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.shared))
    }

    /// Keeps the projections at the head of the log until told to stop; a batch that has begun is finished first. It
    /// waits failures out and goes on by itself. What was found to be of another log or program is filled anew beside
    /// it, and opened to readers then. In a cluster one process does this; the others notice how far it is.
    pub async fn run(&self, shutdown: CancellationToken) {
        self.prepare(&shutdown).await;
        match &self.leadership {
            Some(leadership) => {
                tokio::join!(
                    lead(&self.shared, &self.broadcast, leadership, &shutdown),
                    follow(&self.shared, &shutdown)
                );
            }
            None => {
                self.shared.leading.send_replace(true);
                serve(&self.shared, &self.broadcast, &shutdown, None).await;
                self.shared.leading.send_replace(false);
            }
        }
    }

    /// Closes the database; whoever still reads gets an error. To be called once [`Self::run`] has ended.
    ///
    /// # Errors
    /// The database failed while closing.
    pub async fn close(&self) -> Result<(), ProjectionError> {
        self.shared.db.close().await
    }

    /// Does what opening could not, because the database was away.
    async fn prepare(&self, shutdown: &CancellationToken) {
        let mut backoff = Backoff::new();
        let mut logged = String::new();
        while !shutdown.is_cancelled() && !self.shared.is_prepared() {
            let Some(prepared) = shutdown.run_until_cancelled(self.shared.prepare()).await else { return };
            if let Err(error) = prepared {
                let text = causes(&error);
                if text != logged
                    && !matches!(&error, ProjectionError::Database(error) if failures::is_away(error))
                {
                    tracing::error!(error = text, "the read models can't be opened; trying again");
                    logged = text;
                }
                let _ = shutdown.run_until_cancelled(tokio::time::sleep(backoff.next())).await;
            } else {
                tracing::info!("the read models can be reached");
            }
        }
    }
}
