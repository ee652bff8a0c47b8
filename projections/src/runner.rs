//! The live runner: keeps the active versions at the head of the log, and tells the broadcast what changed.

use crate::{
    BatchReport,
    diagnosis::Fault,
    failures,
    feed::{Batch, Feed, FeedError},
    group::{Group, Target},
    meta::{self, Guard},
    patience::Trouble,
    publish::{Publisher, pushes},
    shared::Shared,
    switch,
};
use sea_orm::DbErr;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    codec::DecodeError,
    error::causes,
    ports::{Broadcast, READ_BATCH_MAX},
    push::Push,
};

/// Most events of one transaction while the runner keeps up: it bounds what a reader waits for.
const LIVE_BATCH: usize = 1_000;
/// Most events of one transaction while it is behind.
const CATCH_UP_BATCH: usize = READ_BATCH_MAX;
/// How often the log itself is looked at when no hint comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A runner that starts further behind than this tells nobody about the events up to the head it finds: nobody is
/// connected who has not read history first. In a cluster the other nodes' clients are; there only events that come
/// before the first one ever told are passed over.
const QUIET_LAG: u64 = 10_000;
/// The longest a batch may take to be written.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How often a batch is tried again at once when it and another writer were in each other's way.
const BUSY_TRIES: u32 = 5;
/// After so long without anything new it is written down what was told, so that a restart does not repeat it.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// The longest that may take when the service stops.
const SAVE_LIMIT: Duration = Duration::from_secs(2);
/// How often it is looked whether live versions that are held while views are switched go on.
const HELD_POLL: Duration = Duration::from_millis(5);
/// After so long it is tried whether the process that holds them is gone.
const HELD_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) use crate::patience::Backoff;

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
    /// Up to where the database says that changes were told.
    saved: u64,
    /// Since when there was nothing new.
    idle_since: Option<Instant>,
    /// Since when live versions are held, or it was last tried to end that.
    held_since: Option<Instant>,
    /// How often in a row a batch met another writer.
    busy: u32,
    trouble: Trouble,
}

impl Runner {
    pub(crate) fn new(shared: Arc<Shared>, broadcast: Arc<dyn Broadcast>) -> Self {
        Self {
            publisher: Publisher::new(broadcast),
            feed: Feed::new(Arc::clone(&shared.log)),
            shared,
            backoff: Backoff::new(),
            quiet_until: None,
            saved: 0,
            idle_since: None,
            held_since: None,
            busy: 0,
            trouble: Trouble::none(),
        }
    }

    /// Runs until told to stop; a batch that has begun is finished first. Failures are waited out, but with `patience`
    /// not for longer than that: it comes back then.
    pub(crate) async fn run(mut self, shutdown: CancellationToken, patience: Option<Duration>) {
        loop {
            let Err(error) = self.session(&shutdown).await else { return };
            if matches!(error, RunError::Database(_) | RunError::Slow) {
                self.shared.db.writers_failed();
            }
            self.shared.observer.failed(&error);
            let lasts = self.trouble.note(&error);
            if patience.is_some_and(|patience| lasts >= patience) {
                return;
            }
            let pause = self.backoff.next();
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Goes on from what the database says, until something fails or the service stops.
    async fn session(&mut self, shutdown: &CancellationToken) -> Result<(), RunError> {
        let mut hint = self.shared.log.head_hint();
        let mut gate = self.shared.gate.subscribe();
        let mut group = self.load().await?;
        let mut behind = false;
        while !shutdown.is_cancelled() {
            if let Some(since) = self.held_since {
                self.stand_still(since).await?;
                group = self.load().await?;
                continue;
            }
            hint.borrow_and_update();
            let head = *hint.borrow();
            match self.step(&mut group, head, &mut behind).await {
                Ok(Outcome::Applied) => (self.busy, self.idle_since) = (0, None),
                Ok(Outcome::Deposed) => group = self.load().await?,
                Ok(Outcome::Idle) => {
                    self.trouble.is_over();
                    if self.idle_since.get_or_insert_with(Instant::now).elapsed() >= SAVE_AFTER {
                        self.save(&group).await?;
                    }
                    let patience = self.publisher.retry_at().unwrap_or_else(|| Instant::now() + LOOK_EVERY);
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        // A log that is gone gives no more hints, but still answers the look every second.
                        Ok(()) = hint.changed() => {}
                        Ok(()) = gate.changed() => group = self.load().await?,
                        () = tokio::time::sleep_until(patience) => {}
                    }
                }
                Err(RunError::Database(error)) if self.busy < BUSY_TRIES && failures::is_deadlock(&error) => {
                    self.busy += 1;
                    group = self.load().await?;
                }
                Err(error) => return Err(error),
            }
        }
        // Should it fail, a little more is told again by the next one.
        let _ = tokio::time::timeout(SAVE_LIMIT, self.save(&group)).await;
        Ok(())
    }

    /// Writes down up to where changes were told; otherwise only the next batch does.
    async fn save(&mut self, group: &Group) -> Result<(), DbErr> {
        let published = self.publisher.position();
        let versions: Vec<_> = group.targets.iter().map(|target| (target.name(), target.version)).collect();
        if published > self.saved && !versions.is_empty() {
            let db = self.shared.db.begin_write().await?;
            meta::record_published(&db, &versions, published).await?;
            self.shared.db.commit(db).await?;
            self.saved = published;
        }
        Ok(())
    }

    /// Waits while versions are being switched. If the process that does it is gone, its work is undone.
    async fn stand_still(&mut self, since: Instant) -> Result<(), DbErr> {
        tokio::time::sleep(HELD_POLL).await;
        if since.elapsed() < HELD_PATIENCE {
            return Ok(());
        }
        self.held_since = Some(Instant::now());
        let db = &self.shared.db;
        if let Some(exclusive) = db.try_exclusive().await? {
            let undone = switch::undo(db, &exclusive, &self.shared.projections).await?;
            tracing::warn!(projection = undone.join(","), "undid a switch of versions that was broken off");
            exclusive.end().await?;
        }
        Ok(())
    }

    /// The live versions and where they are, from the database.
    async fn load(&mut self) -> Result<Group, RunError> {
        let states = meta::load(&self.shared.db.writer()).await?;
        let mut targets = Vec::new();
        let mut published = u64::MAX;
        let mut held = false;
        for projection in &self.shared.projections {
            let name = projection.model().name;
            let Some(state) = states.get(name).filter(|_| !self.shared.gate.is_closed(name)) else {
                continue;
            };
            let checkpoint = state.active()?;
            let schema = projection.model().schema_version;
            if checkpoint.schema_version != schema {
                self.shared.gate.close(name, Fault::Schema(checkpoint.schema_version));
                continue;
            }
            held |= checkpoint.held_since.is_some();
            published = published.min(checkpoint.published);
            targets.push(Target {
                projection: Arc::clone(projection),
                version: state.active_version,
                position: checkpoint.position,
                until: u64::MAX,
            });
        }
        let group = Group { guard: Guard::Live, targets };
        self.held_since = held.then(|| self.held_since.unwrap_or_else(Instant::now));
        if let Some(position) = group.position() {
            if self.quiet_until.is_none() {
                let head = self.shared.log.head().await.map_err(FeedError::Log)?;
                let nobody_listens = !self.shared.in_cluster || published == 0;
                let quiet = nobody_listens && head.saturating_sub(published) > QUIET_LAG;
                self.quiet_until = Some(if quiet { head } else { 0 });
            }
            self.publisher.start_from(published.min(position));
            self.saved = published;
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
            self.publisher.catch_up(position, &self.shared).await?;
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
        self.trouble.is_over();
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
            self.shared.db.rollback(db).await?;
            return Ok(None);
        }
        let pushes =
            if told { pushes(&self.shared.projections, &batch.events, &db).await? } else { Vec::new() };
        self.shared.db.commit(db).await?;
        Ok(Some(pushes))
    }

    /// An event that can't be read is never skipped: all stop there, and say so.
    async fn stop_at(&self, group: &Group, error: DecodeError) -> Result<Outcome, RunError> {
        let text = causes(&error);
        let db = self.shared.db.begin_write().await?;
        for target in &group.targets {
            meta::record_error(&db, target.name(), target.version, &text).await?;
        }
        self.shared.db.commit(db).await?;
        Err(error.into())
    }
}
