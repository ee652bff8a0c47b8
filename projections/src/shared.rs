//! What the runner, the readers and the operators' verbs have in common.

use crate::{
    Observer, Projection, ProjectionError,
    db::Database,
    diagnosis::{Fault, diagnose},
    meta::{self, State},
    projections,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;
use verbatim_application::ports::{Clock, EventLog};

/// Which projections are not to be read now, and why.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<BTreeMap<&'static str, Fault>>);

impl Gate {
    pub(crate) fn new(closed: BTreeMap<&'static str, Fault>) -> Self {
        Self(watch::Sender::new(closed))
    }

    pub(crate) fn is_closed(&self, name: &str) -> bool {
        self.0.borrow().contains_key(name)
    }

    pub(crate) fn closed(&self) -> BTreeMap<&'static str, Fault> {
        self.0.borrow().clone()
    }

    /// Closes these and opens the others.
    pub(crate) fn set(&self, faults: BTreeMap<&'static str, Fault>) {
        self.0.send_if_modified(|closed| {
            let changed = *closed != faults;
            for (name, fault) in faults.iter().filter(|(name, fault)| closed.get(*name) != Some(*fault)) {
                fault.report(name);
            }
            *closed = faults;
            changed
        });
    }

    pub(crate) fn close(&self, name: &'static str, fault: Fault) {
        self.0.send_if_modified(|closed| {
            let changed = closed.insert(name, fault) != Some(fault);
            if changed {
                fault.report(name);
            }
            changed
        });
    }

    pub(crate) fn open(&self, names: &[&'static str]) {
        self.0.send_modify(|closed| closed.retain(|name, _| !names.contains(name)));
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeMap<&'static str, Fault>> {
        self.0.subscribe()
    }
}

pub(crate) struct Shared {
    pub db: Database,
    pub log: Arc<dyn EventLog>,
    pub clock: Arc<dyn Clock>,
    pub projections: Vec<Arc<dyn Projection>>,
    pub gate: Gate,
    /// The last position that every live projection contains.
    pub applied: watch::Sender<u64>,
    /// How many wait for it to move.
    pub waiters: watch::Sender<usize>,
    /// Whether other processes may write the live projections too, and serve readers by them.
    pub in_cluster: bool,
    /// Whether this process writes the live projections.
    pub leading: watch::Sender<bool>,
    /// Whether the database answered when it was last asked.
    pub reachable: AtomicBool,
    pub observer: Arc<dyn Observer>,
    /// Held by whatever switches, fills or drops versions in this process: one at a time.
    pub operation: tokio::sync::Mutex<()>,
}

impl Shared {
    /// All is closed until [`Self::prepare`] has looked.
    pub(crate) fn new(
        db: Database,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        in_cluster: bool,
    ) -> Self {
        let projections = projections::all();
        let unseen = projections.iter().map(|projection| (projection.model().name, Fault::Unseen)).collect();
        Self {
            db,
            log,
            clock,
            projections,
            gate: Gate::new(unseen),
            applied: watch::Sender::new(0),
            waiters: watch::Sender::new(0),
            in_cluster,
            leading: watch::Sender::new(false),
            reachable: AtomicBool::new(false),
            observer,
            operation: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether the database has been looked at.
    pub(crate) fn is_prepared(&self) -> bool {
        !self.gate.0.borrow().values().any(|fault| *fault == Fault::Unseen)
    }

    /// Brings the schema up to date and looks at what there is.
    pub(crate) async fn prepare(&self) -> Result<(), ProjectionError> {
        self.db.migrate().await?;
        let states = meta::load(&self.db.writer()).await?;
        let closed = diagnose(&states, &self.projections, &self.log).await?;
        self.applied.send_replace(applied(&states, &closed)?);
        self.gate.set(closed);
        self.reachable.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The last position that every live projection contains which can be read.
pub(crate) fn applied(
    states: &BTreeMap<String, State>,
    closed: &BTreeMap<&'static str, Fault>,
) -> Result<u64, ProjectionError> {
    let mut applied = None;
    for (_, state) in states.iter().filter(|(name, _)| !closed.contains_key(name.as_str())) {
        let position = state.active()?.position;
        applied = Some(applied.map_or(position, |applied: u64| applied.min(position)));
    }
    Ok(applied.unwrap_or(0))
}
