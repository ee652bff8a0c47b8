//! Where changes that were missed are told again from.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::timeout;
use verbatim_application::ports::{REPLAY_BATCH, ReadError, Replay, Replayed};

/// The longest one look into it may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// It did not answer.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("there is nothing to replay from yet")]
    Nothing,
    #[error("no answer in {LOOK_LIMIT:?}")]
    Slow,
}

/// A [`Replay`] that comes later: it needs read models, and they need the broadcast.
#[derive(Default)]
pub(crate) struct Memory(OnceLock<Arc<dyn Replay>>);

impl Memory {
    pub(crate) fn replay_from(&self, replay: Arc<dyn Replay>) {
        if self.0.set(replay).is_err() {
            tracing::warn!("the broadcast has something to replay from already");
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.get().is_some()
    }

    fn replay(&self) -> Result<&Arc<dyn Replay>, ReadError> {
        self.0.get().ok_or_else(|| ReadError::Unavailable(Box::new(Silent::Nothing)))
    }

    /// See [`Replay::applied`].
    pub(crate) async fn applied(&self) -> Result<u64, ReadError> {
        in_time(self.replay()?.applied()).await
    }

    /// The next changes after a position, see [`Replay::replay`].
    pub(crate) async fn after(&self, position: u64) -> Result<Replayed, ReadError> {
        in_time(self.replay()?.replay(position, REPLAY_BATCH)).await
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Memory").field(&self.is_there()).finish()
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
    timeout(LOOK_LIMIT, answer).await.unwrap_or_else(|_| Err(ReadError::Unavailable(Box::new(Silent::Slow))))
}
