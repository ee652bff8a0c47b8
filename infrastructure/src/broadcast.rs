//! [`Broadcast`] within one process, for the embedded mode.

use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;
use verbatim_application::{
    ports::{Broadcast, BroadcastError, PushStream},
    push::Push,
};

/// Batches that a hub may be behind before it misses some, is told so, and fills the hole from the read model. A batch is
/// what one step of a projection changed.
pub const BROADCAST_CAPACITY: usize = 1_024;

/// Hands changes to the hubs of this process.
#[derive(Debug, Clone)]
pub struct LocalBroadcast(broadcast::Sender<Arc<Vec<Push>>>);

impl LocalBroadcast {
    /// With room for [`BROADCAST_CAPACITY`] batches.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::Sender::new(BROADCAST_CAPACITY))
    }
}

impl Default for LocalBroadcast {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Broadcast for LocalBroadcast {
    async fn publish(&self, pushes: Vec<Push>) -> Result<(), BroadcastError> {
        if !pushes.is_empty() {
            // Nobody listening is no error.
            let _ = self.0.send(Arc::new(pushes));
        }
        Ok(())
    }

    fn subscribe(&self) -> PushStream {
        self.0.subscribe()
    }
}
