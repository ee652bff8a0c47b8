//! What was told, told again.

use super::ReadError;
use crate::push::Push;
use async_trait::async_trait;

/// Most events that a hub is told of again after it missed them. Beyond that it reads the read models anew, which costs
/// less.
pub const REPLAY_MAX: u64 = 50_000;
/// Most events that are replayed at once.
pub const REPLAY_BATCH: usize = 1_000;

/// A stretch of the log, as the hubs were told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The changes, in log order.
    pub pushes: Vec<Push>,
    /// Everything up to this position is in them; not further than the projections are.
    pub upto: u64,
}

/// Changes that were handed to the broadcast, made anew from the log and the read models: what fills a hole in what
/// arrived.
#[async_trait]
pub trait Replay: Send + Sync + 'static {
    /// How far the projections are: everything up to here can be replayed.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn applied(&self) -> Result<u64, ReadError>;

    /// The changes of at most `limit` events with a position greater than `after`, that the projections contain.
    /// Bodies and names are as of now, as they are when the runner repeats itself after a crash.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    async fn replay(&self, after: u64, limit: usize) -> Result<Replayed, ReadError>;
}
