//! Read models for the tests of the broadcast: they know what was to be told, and tell it again.

use async_trait::async_trait;
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{RwLockWriteGuard, watch};
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
    /// While this is held, whoever reads it waits.
    gate: tokio::sync::RwLock<()>,
    /// How often it was read.
    asked: watch::Sender<usize>,
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

    /// Lets nobody read it as long as what this gives is kept.
    pub async fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// Waits until it has been asked so many times more.
    pub async fn asked(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        let least = *asked.borrow() + times;
        asked.wait_for(|asked| *asked >= least).await.unwrap();
    }

    async fn check(&self) -> Result<(), ReadError> {
        self.asked.send_modify(|asked| *asked += 1);
        let _open = self.gate.read().await;
        if self.away.load(Ordering::SeqCst) {
            return Err(ReadError::Unavailable("told to be away".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Replay for Told {
    async fn applied(&self) -> Result<u64, ReadError> {
        self.check().await?;
        Ok(self.head())
    }

    async fn replay(&self, after: u64, limit: usize) -> Result<Replayed, ReadError> {
        self.check().await?;
        let log = self.log.lock().unwrap();
        let upto = log.applied.min(after + limit as u64);
        let from = log.pushes.partition_point(|push| push.position <= after);
        let to = log.pushes.partition_point(|push| push.position <= upto);
        Ok(Replayed { pushes: log.pushes[from..to].to_vec(), upto })
    }
}
