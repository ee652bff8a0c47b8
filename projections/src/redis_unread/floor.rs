//! What this node has promised or shown: no later answer may be older.

use async_trait::async_trait;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use verbatim_application::ports::Positions;

/// The highest log position that a client of this node may have seen the effect of.
#[derive(Debug, Default)]
pub(super) struct Floor {
    shown: AtomicU64,
    /// The highest position that the relational read models are known to contain.
    relational: AtomicU64,
}

impl Floor {
    pub(super) fn get(&self) -> u64 {
        self.shown.load(Ordering::SeqCst)
    }

    /// Counts of this position were given out.
    pub(super) fn raise(&self, position: u64) {
        self.shown.fetch_max(position, Ordering::SeqCst);
    }

    /// The relational read models contain this position, and somebody was told so.
    pub(super) fn promise(&self, position: u64) {
        self.relational.fetch_max(position, Ordering::SeqCst);
        self.raise(position);
    }

    /// Waits until the relational read models contain what was shown; `false` when they do not come so far in time.
    pub(super) async fn reached_by(&self, positions: &dyn Positions, limit: Duration) -> bool {
        let floor = self.get();
        if self.relational.load(Ordering::SeqCst) >= floor {
            return true;
        }
        let reached = positions.wait_for(floor, limit).await;
        if reached {
            self.relational.fetch_max(floor, Ordering::SeqCst);
        }
        reached
    }
}

/// The positions of the relational read models; whoever waits for one with success is promised that the counts have it.
pub(super) struct Promising {
    pub(super) inner: Arc<dyn Positions>,
    pub(super) floor: Arc<Floor>,
}

#[async_trait]
impl Positions for Promising {
    async fn wait_for(&self, position: u64, limit: Duration) -> bool {
        let reached = self.inner.wait_for(position, limit).await;
        if reached {
            self.floor.promise(position);
        }
        reached
    }
}
