use super::Readers;
use async_trait::async_trait;
use std::time::Duration;
use verbatim_application::ports::Positions;

#[async_trait]
impl Positions for Readers {
    async fn wait_for(&self, position: u64, limit: Duration) -> bool {
        let mut applied = self.shared.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= position);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}
