use super::Readers;
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::watch;
use verbatim_application::ports::Positions;

/// One who waits for a position, counted as long as it lasts.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(waiters: &'a watch::Sender<usize>) -> Self {
        waiters.send_modify(|waiters| *waiters += 1);
        Self(waiters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiters| *waiters -= 1);
    }
}

#[async_trait]
impl Positions for Readers {
    async fn wait_for(&self, position: u64, limit: Duration) -> bool {
        let mut applied = self.shared.applied.subscribe();
        if *applied.borrow() >= position {
            return true;
        }
        let _waiting = Waiting::begin(&self.shared.waiters);
        let reached = applied.wait_for(|applied| *applied >= position);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}
