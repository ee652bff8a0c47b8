//! Telling the broadcast what changed, after the commit, in log order, and again if that failed.

use crate::{
    Projection,
    feed::Feed,
    runner::{Backoff, RunError},
    shared::Shared,
};
use sea_orm::{DatabaseTransaction, DbErr};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use verbatim_application::{
    codec::Envelope,
    error::causes,
    ports::{Broadcast, Stretch},
    push::{Push, trace_back},
};

/// The longest the broadcast may take: the projections wait for it.
const PUBLISH_LIMIT: Duration = Duration::from_millis(500);
/// Most events whose changes are built anew at once.
const REPEAT_BATCH: usize = 1_000;

/// What these events changed, as these projections tell it, in log order.
pub(crate) async fn pushes(
    projections: &[Arc<dyn Projection>],
    events: &[Envelope],
    db: &DatabaseTransaction,
) -> Result<Vec<Push>, DbErr> {
    let mut all = Vec::new();
    for projection in projections {
        all.extend(projection.pushes(events, db).await?);
    }
    // Stable: what one projection tells about one event keeps its order.
    all.sort_by_key(|push| push.position);
    trace_back(&mut all, events);
    Ok(all)
}

/// Knows up to where the broadcast has taken the changes.
pub(crate) struct Publisher {
    broadcast: Arc<dyn Broadcast>,
    /// The last position whose changes the broadcast has taken.
    position: u64,
    /// After a failure: when to try again.
    retry_at: Option<Instant>,
    backoff: Backoff,
}

impl Publisher {
    pub(crate) fn new(broadcast: Arc<dyn Broadcast>) -> Self {
        Self { broadcast, position: 0, retry_at: None, backoff: Backoff::new() }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Takes note of what the database knows; it may lag by a batch behind what this one has done itself.
    pub(crate) fn start_from(&mut self, published: u64) {
        self.position = self.position.max(published);
    }

    /// Tells nobody about the changes up to here.
    pub(crate) fn skip_to(&mut self, position: u64) {
        self.position = self.position.max(position);
    }

    /// Hands over the changes up to `position`. A failure is waited out: they are built anew later.
    pub(crate) async fn publish(&mut self, pushes: Vec<Push>, position: u64) {
        // Also if there is nothing to tell: whoever hears of the next stretch sees that it has missed none.
        let stretch = Stretch { after: self.position, upto: position, pushes };
        let error = match tokio::time::timeout(PUBLISH_LIMIT, self.broadcast.publish(stretch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(causes(&error)),
            Err(_) => Some(format!("no answer in {PUBLISH_LIMIT:?}")),
        };
        match error {
            None => {
                self.position = position;
                self.retry_at = None;
                self.backoff = Backoff::new();
            }
            Some(error) => {
                if self.retry_at.is_none() {
                    tracing::error!(error, position, "the broadcast takes no changes; trying again");
                }
                self.retry_at = Some(Instant::now() + self.backoff.next());
            }
        }
    }

    /// Builds what is not published yet, up to `applied`, from the log and the read model as it is now, and publishes
    /// it. Stops at the first failure, until it is time to try again.
    pub(crate) async fn catch_up(&mut self, applied: u64, shared: &Shared) -> Result<(), RunError> {
        let mut feed = Feed::new(Arc::clone(&shared.log));
        while self.position < applied && self.retry_at.is_none_or(|at| at <= Instant::now()) {
            let left = usize::try_from(applied - self.position).unwrap_or(REPEAT_BATCH);
            let batch = feed.next(self.position, left.min(REPEAT_BATCH)).await?;
            let Some(last) = batch.last() else {
                // What was applied could be decoded, so the log has lost it; the next start notices.
                return batch.broken.map_or(Ok(()), |error| Err(error.into()));
            };
            let db = shared.db.begin_read().await?;
            let pushes = pushes(&shared.projections, &batch.events, &db).await?;
            db.rollback().await?;
            self.publish(pushes, last).await;
            if self.retry_at.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }
}
