//! Counts what the bus tells.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use verbatim_application::bus::BusObserver;

/// How often each thing happened.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) answered: AtomicUsize,
    pub(crate) committed: AtomicUsize,
    pub(crate) overloaded: AtomicUsize,
    pub(crate) conflicted: AtomicUsize,
    pub(crate) panicked: AtomicUsize,
}

impl Tally {
    pub(crate) fn of(count: &AtomicUsize) -> usize {
        count.load(Ordering::SeqCst)
    }
}

impl BusObserver for Tally {
    fn answered(&self, _: &'static str, _: &'static str, _: Duration) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    fn committed(&self, _: usize, _: usize, _: Duration) {
        self.committed.fetch_add(1, Ordering::SeqCst);
    }

    fn overloaded(&self) {
        self.overloaded.fetch_add(1, Ordering::SeqCst);
    }

    fn conflicted(&self) {
        self.conflicted.fetch_add(1, Ordering::SeqCst);
    }

    fn panicked(&self) {
        self.panicked.fetch_add(1, Ordering::SeqCst);
    }
}
