//! The live runner: keeps the active versions at the head of the log, and tells the broadcast what changed.

use crate::{
    BatchReport,
    feed::{Batch, Feed, FeedError},
    group::{Group, Target},
    meta::{self, Guard},
    publish::{Publisher, pushes},
    shared::Shared,
};
use sea_orm::DbErr;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    codec::DecodeError,
    ports::{Broadcast, READ_BATCH_MAX},
    push::Push,
};

/// Most events of one transaction while the runner keeps up: it bounds what a reader waits for.
const LIVE_BATCH: usize = 1_000;
/// Most events of one transaction while it is behind.
const CATCH_UP_BATCH: usize = READ_BATCH_MAX;
/// How often the log itself is looked at when no hint comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first pause after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A runner that starts further behind than this tells nobody about the events up to the head it finds: nobody is
/// connected who has not read history first.
const QUIET_LAG: u64 = 10_000;
/// The longest a batch may take to be written.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the event log could not be read")]
    Feed(#[from] FeedError),
    #[error("an event could not be decoded")]
    Decode(#[from] DecodeError),
    #[error("the read model could not be written")]
    Database(#[from] DbErr),
    #[error("writing a batch took longer than {WRITE_LIMIT:?}")]
    Slow,
}

/// Pauses that double.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(BACKOFF.0)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(BACKOFF.1);
        pause
    }
}

/// What one look at the log led to.
enum Outcome {
    Applied,
    /// There is nothing new.
    Idle,
    /// Somebody else moved a checkpoint or switched versions.
    Deposed,
}

pub(crate) struct Runner {
    shared: Arc<Shared>,
    publisher: Publisher,
    feed: Feed,
    backoff: Backoff,
    /// Up to here nobody is told; set once, at the start.
    quiet_until: Option<u64>,
    /// So that an error that stays is logged once.
    last_error: Option<String>,
}

impl Runner {
    pub(crate) fn new(shared: Arc<Shared>, broadcast: Arc<dyn Broadcast>) -> Self {
        Self {
            publisher: Publisher::new(broadcast),
            feed: Feed::new(Arc::clone(&shared.log)),
            shared,
            backoff: Backoff::new(),
            quiet_until: None,
            last_error: None,
        }
    }

    /// Runs until told to stop; a batch that has begun is finished first. Failures are waited out.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let Err(error) = self.session(&shutdown).await else { return };
            self.report(&error);
            let pause = self.backoff.next();
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn report(&mut self, error: &RunError) {
        self.shared.observer.failed(error);
        let text = chain(error);
        if self.last_error.as_ref() != Some(&text) {
            tracing::error!(error = text, "the projections do not go on; trying again");
            self.last_error = Some(text);
        }
    }

    /// Goes on from what the database says, until something fails or the service stops.
    async fn session(&mut self, shutdown: &CancellationToken) -> Result<(), RunError> {
        let mut hint = self.shared.log.head_hint();
        let mut gate = self.shared.gate.subscribe();
        let mut group = self.load().await?;
        let mut behind = false;
        while !shutdown.is_cancelled() {
            hint.borrow_and_update();
            let head = *hint.borrow();
            match self.step(&mut group, head, &mut behind).await? {
                Outcome::Applied => {}
                Outcome::Deposed => group = self.load().await?,
                Outcome::Idle => {
                    let patience = self.publisher.retry_at().unwrap_or_else(|| Instant::now() + LOOK_EVERY);
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        // A log that is gone gives no more hints, but still answers the look every second.
                        Ok(()) = hint.changed() => {}
                        Ok(()) = gate.changed() => group = self.load().await?,
                        () = tokio::time::sleep_until(patience) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// The live versions and where they are, from the database.
    async fn load(&mut self) -> Result<Group, RunError> {
        let states = meta::load(&self.shared.db.writer).await?;
        let mut targets = Vec::new();
        let mut published = u64::MAX;
        for projection in &self.shared.projections {
            let name = projection.model().name;
            let Some(state) = states.get(name).filter(|_| !self.shared.gate.is_closed(name)) else {
                continue;
            };
            let checkpoint = state.active()?;
            published = published.min(checkpoint.published);
            targets.push(Target {
                projection: Arc::clone(projection),
                version: state.active_version,
                position: checkpoint.position,
                until: u64::MAX,
            });
        }
        let group = Group { guard: Guard::Live, targets };
        if let Some(position) = group.position() {
            if self.quiet_until.is_none() {
                let head = self.shared.log.head().await.map_err(FeedError::Log)?;
                let quiet = head.saturating_sub(published) > QUIET_LAG;
                self.quiet_until = Some(if quiet { head } else { 0 });
            }
            self.publisher.start_from(published.min(position));
            self.shared.applied.send_replace(position);
        }
        Ok(group)
    }

    async fn step(&mut self, group: &mut Group, head: u64, behind: &mut bool) -> Result<Outcome, RunError> {
        let Some(position) = group.position() else { return Ok(Outcome::Idle) };
        let quiet = self.quiet_until.is_some_and(|until| position < until);
        // A projection that is filled anew at start can't be asked what it would tell: all is told afterwards.
        let complete = group.targets.len() == self.shared.projections.len();
        if quiet {
            self.publisher.skip_to(position);
        } else if complete {
            self.publisher.catch_up(group, position, &self.shared).await?;
        }
        let limit = if *behind { CATCH_UP_BATCH } else { LIVE_BATCH };
        let batch = self.feed.next(position, limit).await?;
        let started = Instant::now();
        let Some(last) = batch.last() else {
            return match batch.broken {
                None => Ok(Outcome::Idle),
                Some(error) => self.stop_at(group, error).await,
            };
        };
        let told = !quiet && complete && self.publisher.position() == position;
        let writing = self.commit(group, &batch, told);
        let Ok(written) = tokio::time::timeout(WRITE_LIMIT, writing).await else {
            return Err(RunError::Slow);
        };
        let Some(pushes) = written? else { return Ok(Outcome::Deposed) };
        let took = started.elapsed();
        group.advance(&batch);
        *behind = batch.full;
        self.shared.applied.send_replace(group.position().unwrap_or(last));
        self.backoff = Backoff::new();
        self.last_error = None;
        let report = BatchReport {
            events: batch.events.len(),
            pushes: pushes.len(),
            took,
            position: last,
            head: head.max(last),
        };
        if told {
            self.publisher.publish(pushes, last).await;
        } else if quiet {
            self.publisher.skip_to(last);
        }
        self.shared.observer.applied(report);
        self.shared.observer.projected(&batch.events, took);
        Ok(Outcome::Applied)
    }

    /// One transaction: checkpoints, rows, and what to tell about them. `None`: another runner was here.
    async fn commit(&self, group: &Group, batch: &Batch, told: bool) -> Result<Option<Vec<Push>>, DbErr> {
        let folded = group.fold(batch);
        let now = self.shared.clock.now();
        let db = self.shared.db.begin_write().await?;
        if !group.write(&db, batch, folded, self.publisher.position(), now).await? {
            db.rollback().await?;
            return Ok(None);
        }
        let pushes = if told { pushes(group, &batch.events, &db).await? } else { Vec::new() };
        db.commit().await?;
        Ok(Some(pushes))
    }

    /// An event that can't be read is never skipped: all stop there, and say so.
    async fn stop_at(&self, group: &Group, error: DecodeError) -> Result<Outcome, RunError> {
        let text = chain(&error);
        let db = self.shared.db.begin_write().await?;
        for target in &group.targets {
            meta::record_error(&db, target.name(), target.version, &text).await?;
        }
        db.commit().await?;
        Err(error.into())
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
