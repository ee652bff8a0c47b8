//! Broadcast within one process.

use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;
use verbatim_application::{
    ports::{Broadcast, BroadcastError, PushStream},
    push::Push,
};

/// Batches of pushes that wait for the slowest hub. A hub that falls further behind is told so, and catches up from the
/// read model.
pub const CAPACITY: usize = 4_096;

/// Broadcast within one process.
#[derive(Debug, Clone)]
pub struct LocalBroadcast(broadcast::Sender<Arc<Vec<Push>>>);

impl Default for LocalBroadcast {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

#[async_trait]
impl Broadcast for LocalBroadcast {
    async fn publish(&self, pushes: Vec<Push>) -> Result<(), BroadcastError> {
        // Nobody listening is no failure.
        let _ = self.0.send(Arc::new(pushes));
        Ok(())
    }

    fn subscribe(&self) -> PushStream {
        self.0.subscribe()
    }
}
