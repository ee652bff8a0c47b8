//! What the hubs were told, told again: from the log, and the read models as they are now.

use crate::{feed, meta, publish::pushes, readers::READ_LIMIT, shared::Shared};
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbErr};
use std::sync::Arc;
use tokio::time::timeout;
use verbatim_application::ports::{READ_BATCH_MAX, ReadError, Replay, Replayed};

/// Why nothing can be told again though log and database are there.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("some projections are being filled anew")]
    Closed,
    #[error("the replay took longer than {READ_LIMIT:?}")]
    Slow,
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ReadError {
    ReadError::Unavailable(Box::new(error))
}

/// Builds pushes anew as the runner does when it repeats itself after a crash.
pub(crate) struct LogReplay {
    shared: Arc<Shared>,
}

impl LogReplay {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A projection that is filled anew can't be asked what it would tell.
    fn check(&self) -> Result<(), ReadError> {
        if self.shared.gate.closed().is_empty() { Ok(()) } else { Err(unavailable(Refused::Closed)) }
    }

    /// The last position that every live projection contains. From the database: the runner may be in another process.
    async fn contained<C: ConnectionTrait>(&self, db: &C) -> Result<u64, DbErr> {
        let states = meta::load(db).await?;
        let mut position = u64::MAX;
        for projection in &self.shared.projections {
            let name = projection.model().name;
            let missing = || DbErr::RecordNotFound(format!("projection {name}"));
            position = position.min(states.get(name).ok_or_else(missing)?.active()?.position);
        }
        Ok(position)
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), ReadError> {
        in_time(async { self.contained(&self.shared.db.reader()).await.map_err(unavailable) }).await.map(drop)
    }

    async fn rebuild(&self, after: u64, limit: usize) -> Result<Replayed, ReadError> {
        let log = Arc::clone(&self.shared.log);
        let batch = feed::read(log, after, limit.min(READ_BATCH_MAX)).await.map_err(unavailable)?;
        let db = self.shared.db.begin_read().await.map_err(unavailable)?;
        // In the same transaction: what is told can be read.
        let contained = self.contained(&db).await.map_err(unavailable)?;
        let until = batch.events.partition_point(|envelope| envelope.position <= contained);
        let events = batch.events.get(..until).unwrap_or_default();
        let pushes = pushes(&self.shared.projections, events, &db).await.map_err(unavailable)?;
        db.rollback().await.map_err(unavailable)?;
        Ok(Replayed { pushes, upto: events.last().map_or(after, |envelope| envelope.position) })
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
    timeout(READ_LIMIT, answer).await.unwrap_or_else(|_| Err(unavailable(Refused::Slow)))
}

#[async_trait]
impl Replay for LogReplay {
    async fn applied(&self) -> Result<u64, ReadError> {
        self.check()?;
        in_time(async { self.contained(&self.shared.db.reader()).await.map_err(unavailable) }).await
    }

    async fn replay(&self, after: u64, limit: usize) -> Result<Replayed, ReadError> {
        self.check()?;
        in_time(self.rebuild(after, limit)).await
    }
}
