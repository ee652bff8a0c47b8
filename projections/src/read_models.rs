//! The way in.

use crate::{
    Admin, NoObserver, Observer, ProjectionError,
    db::Database,
    diagnosis::{Fault, diagnose},
    meta, projections,
    readers::Readers,
    runner::{Backoff, Runner, chain},
    shared::{Gate, Shared},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verbatim_application::ports::{
    Broadcast, Clock, EventLog, HistoryReader, MemberReader, Positions, RoomReader, UnreadReader,
};

/// The read models of one database: their readers, their runner, and the operators' verbs.
#[derive(Clone)]
pub struct ReadModels {
    shared: Arc<Shared>,
    broadcast: Arc<dyn Broadcast>,
    faults: Arc<BTreeMap<&'static str, Fault>>,
}

impl ReadModels {
    /// Opens the database at `url` (`sqlite:PATH`), creating it and bringing its schema up to date as needed, and checks
    /// that what it holds is of this log and of this program. What is not is not read until [`Self::run`] has filled it
    /// anew.
    ///
    /// # Errors
    /// The database can't be opened, or the log not be read.
    pub async fn open(
        url: &str,
        log: Arc<dyn EventLog>,
        broadcast: Arc<dyn Broadcast>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProjectionError> {
        Self::open_observed(url, log, broadcast, clock, Arc::new(NoObserver)).await
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
        let db = Database::connect(url).await?;
        let projections = projections::all();
        let states = meta::load(&db.writer).await?;
        let faults = diagnose(&states, &projections, &log).await?;
        let mut applied = u64::MAX;
        for state in states.values() {
            applied = applied.min(state.active()?.position);
        }
        let shared = Shared {
            db,
            log,
            clock,
            projections,
            gate: Gate::new(faults.keys().copied().collect()),
            applied: watch::Sender::new(applied),
            observer,
            operation: tokio::sync::Mutex::new(()),
        };
        Ok(Self { shared: Arc::new(shared), broadcast, faults: Arc::new(faults) })
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

    /// How far the live projections are.
    #[must_use]
    pub fn positions(&self) -> Arc<dyn Positions> {
        self.readers()
    }

    /// The last position that every live projection contains, as it changes.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.shared.applied.subscribe()
    }

    /// Names of the projections that can't be read now because they are filled anew from the start.
    #[must_use]
    pub fn closed(&self) -> Vec<&'static str> {
        self.shared.gate.closed().into_iter().collect()
    }

    /// The operators' verbs.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.shared))
    }

    /// Keeps the projections at the head of the log until told to stop; a batch that has begun is finished first. It
    /// waits failures out and goes on by itself. What was found to be of another log or program is filled anew beside
    /// it, and opened to readers then.
    pub async fn run(&self, shutdown: CancellationToken) {
        let runner = Runner::new(Arc::clone(&self.shared), Arc::clone(&self.broadcast));
        tokio::join!(runner.run(shutdown.clone()), self.repair(shutdown));
    }

    /// Closes the database; whoever still reads gets an error. To be called once [`Self::run`] has ended.
    ///
    /// # Errors
    /// The database failed while closing.
    pub async fn close(&self) -> Result<(), ProjectionError> {
        self.shared.db.close().await
    }

    async fn repair(&self, shutdown: CancellationToken) {
        let closed = self.shared.gate.closed();
        let names: Vec<&'static str> = closed.iter().copied().collect();
        let foreign =
            names.iter().copied().filter(|name| self.faults.get(name) == Some(&Fault::Log)).collect();
        if names.is_empty() {
            return;
        }
        let admin = self.admin();
        let mut backoff = Backoff::new();
        while let Some(result) = shutdown.run_until_cancelled(admin.refill(&names, &foreign)).await {
            let Err(error) = result else {
                tracing::info!(projection = names.join(","), "the read models are filled anew");
                return self.shared.gate.open(&names);
            };
            let text = chain(&error);
            tracing::error!(error = text, "the read models could not be filled anew; trying again");
            if let Err(error) = admin.note_error(&names, &text).await {
                tracing::warn!(error = chain(&error), "nor could that be written down");
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
                return;
            }
        }
    }
}
