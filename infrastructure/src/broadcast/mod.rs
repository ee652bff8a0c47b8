//! [`Broadcast`] within one process, for the embedded mode.

mod fan_out;
mod memory;

pub(crate) use fan_out::FanOut;
pub(crate) use memory::Memory;

use async_trait::async_trait;
use std::sync::Arc;
use verbatim_application::{
    ports::{Broadcast, BroadcastError, Interest, Listening, PushStream, Replay, Stretch},
    push::Push,
};

/// Batches that a hub may be behind before it misses some, and they are made good by a replay or from the read model. A
/// batch is what one step of a projection changed.
pub const BROADCAST_CAPACITY: usize = 1_024;

/// Hands changes to the hubs of this process.
#[derive(Debug, Clone)]
pub struct LocalBroadcast {
    fan_out: FanOut,
    everything: Arc<Everything>,
}

impl LocalBroadcast {
    /// With room for [`BROADCAST_CAPACITY`] batches.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(BROADCAST_CAPACITY)
    }

    /// With room for so many batches.
    #[must_use]
    pub fn with_capacity(batches: usize) -> Self {
        Self { fan_out: FanOut::new(batches, Arc::new(Memory::default())), everything: Arc::new(Everything) }
    }

    /// Says what a hub that fell behind is told again from. Without it, it reads the read models anew. Only the first
    /// one counts.
    pub fn replay_from(&self, replay: Arc<dyn Replay>) {
        self.fan_out.memory().replay_from(replay);
    }
}

impl Default for LocalBroadcast {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Broadcast for LocalBroadcast {
    async fn publish(&self, stretch: Stretch) -> Result<(), BroadcastError> {
        self.fan_out.hand_on(stretch.after, stretch.upto, stretch.pushes);
        Ok(())
    }

    async fn publish_ephemeral(&self, push: Push) -> Result<(), BroadcastError> {
        self.fan_out.ephemeral(push);
        Ok(())
    }

    fn subscribe(&self) -> PushStream {
        Box::new(self.fan_out.subscribe())
    }

    fn listen(&self, _: Interest) -> Arc<dyn Listening> {
        self.everything.clone()
    }
}

/// Whatever is published here is heard here.
#[derive(Debug)]
struct Everything;

#[async_trait]
impl Listening for Everything {
    fn after(&self) -> Option<u64> {
        Some(0)
    }

    async fn begun(&self) -> Result<u64, BroadcastError> {
        Ok(0)
    }
}
