//! Who does what only one process of the cluster may do.

use async_trait::async_trait;
use std::any::Any;
use tokio::sync::watch;

/// Whether this process leads could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("it can't be found out who leads")]
pub struct LeadershipError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Leadership of one task. It lasts until it is lost or dropped.
pub struct Lease {
    lost: watch::Receiver<bool>,
    _held: Box<dyn Any + Send + Sync>,
}

impl Lease {
    /// A lease that ends when `lost` becomes true, or its sender goes; whatever `held` is, it is dropped with the lease
    /// and then gives the task back.
    #[must_use]
    pub fn new(lost: watch::Receiver<bool>, held: Box<dyn Any + Send + Sync>) -> Self {
        Self { lost, _held: held }
    }

    /// Comes back once the lease is lost. Somebody else may lead by then, so what is written afterwards must be refused
    /// by other means (a compare-and-set): no lock in another database can promise that.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error is a sender that is gone: nobody keeps the lease any more.
        let _ = lost.wait_for(|lost| *lost).await;
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("lost", &*self.lost.borrow()).finish_non_exhaustive()
    }
}

/// Chooses one process of the cluster for a task. A leader that dies, hangs or is cut off is replaced in less than five
/// seconds.
#[async_trait]
pub trait Leadership: Send + Sync + 'static {
    /// Tries to lead `task`; `None` while another one leads. Comes back within seconds.
    ///
    /// # Errors
    /// [`LeadershipError`]
    async fn try_lead(&self, task: &str) -> Result<Option<Lease>, LeadershipError>;
}
