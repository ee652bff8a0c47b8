//! Carrying projected changes to every node's hub.

use crate::push::Push;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Projected changes as they arrive at a hub, in batches of one log order. `Lagged` means that some were missed: the
/// hub fills the hole from the read model.
pub type PushStream = broadcast::Receiver<Arc<Vec<Push>>>;

/// The changes could not be handed on. They are durable and projected all the same.
#[derive(Debug, thiserror::Error)]
#[error("the broadcast is not available")]
pub struct BroadcastError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// From the projection runner to the hubs of all nodes, this one included.
#[async_trait]
pub trait Broadcast: Send + Sync + 'static {
    /// Hands changes on, in this order. Repeating some after a crash is fine: hubs drop what they have seen, by
    /// position.
    ///
    /// # Errors
    /// [`BroadcastError`]; the caller tries again from the same position.
    async fn publish(&self, pushes: Vec<Push>) -> Result<(), BroadcastError>;

    /// Changes from now on.
    fn subscribe(&self) -> PushStream;
}
