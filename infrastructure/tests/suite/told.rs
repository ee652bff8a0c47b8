//! Read models for the tests of the broadcast: they know what was to be told, and tell it again.

use async_trait::async_trait;
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use verbatim_application::{
    ports::{ReadError, Replay, Replayed, Stretch},
    push::Push,
};

#[derive(Debug, Default)]
struct Log {
    /// In log order; an event may have several changes, or none.
    pushes: Vec<Push>,
    applied: u64,
}

/// What the projections contain.
#[derive(Debug, Default)]
pub struct Told {
    log: Mutex<Log>,
    /// Whether nobody can read it now.
    pub away: AtomicBool,
    /// How often it was asked for changes.
    pub replays: AtomicUsize,
}

impl Told {
    /// Applies the next events.
    pub fn apply(&self, stretch: &Stretch) {
        let mut log = self.log.lock().unwrap();
        assert_eq!(stretch.after, log.applied, "the test skips events");
        log.applied = stretch.upto;
        log.pushes.extend(stretch.pushes.iter().cloned());
    }

    /// All changes after a position, in log order.
    pub fn after(&self, position: u64) -> Vec<Push> {
        self.log.lock().unwrap().pushes.iter().filter(|push| push.position > position).cloned().collect()
    }

    pub fn head(&self) -> u64 {
        self.log.lock().unwrap().applied
    }

    fn check(&self) -> Result<(), ReadError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(ReadError::Unavailable("told to be away".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Replay for Told {
    async fn applied(&self) -> Result<u64, ReadError> {
        self.check()?;
        Ok(self.head())
    }

    async fn replay(&self, after: u64, limit: usize) -> Result<Replayed, ReadError> {
        self.check()?;
        self.replays.fetch_add(1, Ordering::SeqCst);
        let log = self.log.lock().unwrap();
        let upto = log.applied.min(after + limit as u64);
        let from = log.pushes.partition_point(|push| push.position <= after);
        let to = log.pushes.partition_point(|push| push.position <= upto);
        Ok(Replayed { pushes: log.pushes[from..to].to_vec(), upto })
    }
}
