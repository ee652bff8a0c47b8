//! A gate that holds callers until the test lets them through, so that tests decide what piles up behind them.

use super::PATIENCE;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Semaphore, watch};

/// Open until it is closed.
pub(crate) struct Gate {
    closed: AtomicBool,
    passes: Semaphore,
    arrived: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: AtomicBool::new(false), passes: Semaphore::new(0), arrived: watch::channel(0).0 }
    }
}

impl Gate {
    /// Holds everybody from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Lets one through, now or when it comes.
    pub(crate) fn pass_one(&self) {
        self.passes.add_permits(1);
    }

    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.passes.add_permits(10_000);
    }

    /// How many have come so far, held or not.
    pub(crate) fn arrived(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Waits until the `n`th has come, counted from the start.
    pub(crate) async fn nth_arrival(&self, n: usize) {
        let mut arrived = self.arrived.subscribe();
        tokio::time::timeout(PATIENCE, arrived.wait_for(|count| *count >= n))
            .await
            .expect("nobody comes to the gate")
            .expect("the gate is there");
    }

    /// Goes through, or waits to be let through.
    pub(crate) async fn enter(&self) {
        self.arrived.send_modify(|count| *count += 1);
        if self.closed.load(Ordering::SeqCst) {
            let pass = tokio::time::timeout(PATIENCE, self.passes.acquire()).await;
            pass.expect("nobody opens the gate").expect("the gate is there").forget();
        }
    }
}
