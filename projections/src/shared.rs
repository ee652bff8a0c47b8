//! What the runner, the readers and the operators' verbs have in common.

use crate::{Observer, Projection, db::Database};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;
use verbatim_application::ports::{Clock, EventLog};

/// Which projections are not to be read now, because what they hold is not of this log or of this program.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<BTreeSet<&'static str>>);

impl Gate {
    pub(crate) fn new(closed: BTreeSet<&'static str>) -> Self {
        Self(watch::Sender::new(closed))
    }

    pub(crate) fn is_closed(&self, name: &str) -> bool {
        self.0.borrow().contains(name)
    }

    pub(crate) fn closed(&self) -> BTreeSet<&'static str> {
        self.0.borrow().clone()
    }

    pub(crate) fn open(&self, names: &[&'static str]) {
        self.0.send_modify(|closed| closed.retain(|name| !names.contains(name)));
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeSet<&'static str>> {
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
    pub observer: Arc<dyn Observer>,
    /// Held by whatever switches, fills or drops versions in this process: one at a time.
    pub operation: tokio::sync::Mutex<()>,
}
