//! Filling versions that are not active, and making them active once they are where the live ones are.

use super::{Admin, Progress, Stage};
use crate::{
    ProjectionError,
    feed::{Batch, Feed},
    group::{Group, Target},
    meta,
    patience::Backoff,
};
use sea_orm::{DatabaseTransaction, DbErr};
use std::{sync::Arc, time::Duration};
use verbatim_application::{error::causes, ports::READ_BATCH_MAX};
use verbatim_migrations::read_models::create_views;

/// Most events of one transaction. It bounds how long the live runner has to wait for the database.
pub(super) const FILL_BATCH: usize = READ_BATCH_MAX;
/// How often a transaction that failed is tried again before the operation gives up.
const ATTEMPTS: u32 = 8;
/// Between two transactions the database is left to others for this part of the time the last one took: a writer in
/// another process looks for its turn every millisecond, and would hardly ever find one.
const PAUSE_PART: u32 = 16;
/// The shortest and the longest such pause.
const PAUSE: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(20));

/// What a transaction of the filling led to.
enum Filled {
    /// A batch is in; there is more to do.
    More,
    /// The versions are active now.
    Switched,
}

/// Calls back with the progress.
pub(super) type OnProgress<'a> = &'a mut (dyn FnMut(Progress) + Send);

impl Admin {
    /// Fills the group's versions up to the live ones and makes them active, all at once. With
    /// `abandon_live` the live ones are of another log, and nobody waits to be where they are.
    pub(super) async fn fill_and_switch(
        &self,
        group: &mut Group,
        abandon_live: bool,
        progress: OnProgress<'_>,
    ) -> Result<(), ProjectionError> {
        let mut feed = Feed::new(Arc::clone(&self.shared.log));
        let mut failures = 0;
        let mut backoff = Backoff::new();
        let mut failed = false;
        loop {
            let position = group.position().unwrap_or(0);
            let head = (*self.shared.log.head_hint().borrow()).max(position);
            progress(Progress { stage: Stage::Fill, done: position, total: head });
            let started = tokio::time::Instant::now();
            let step = async {
                if failed {
                    // Whether the transaction came through is for the database to say.
                    self.reload(group).await?;
                }
                self.fill_step(&mut feed, group, abandon_live).await
            };
            match step.await {
                Ok(Filled::Switched) => {
                    let done = group.position().unwrap_or(position);
                    progress(Progress { stage: Stage::Fill, done, total: done });
                    return Ok(());
                }
                Ok(Filled::More) => {
                    (failed, failures) = (false, 0);
                    backoff = Backoff::new();
                    tokio::time::sleep((started.elapsed() / PAUSE_PART).clamp(PAUSE.0, PAUSE.1)).await;
                }
                Err(error) if failures < ATTEMPTS && may_pass(&error) => {
                    (failed, failures) = (true, failures + 1);
                    tracing::warn!(
                        error = causes(&error),
                        attempt = failures,
                        "filling a projection hangs; trying again"
                    );
                    self.shared.db.writers_failed();
                    tokio::time::sleep(backoff.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn fill_step(
        &self,
        feed: &mut Feed,
        group: &mut Group,
        abandon_live: bool,
    ) -> Result<Filled, ProjectionError> {
        let position = group.position().unwrap_or(0);
        let mut batch = feed.next(position, FILL_BATCH).await?;
        if let Some(error) = batch.broken.take() {
            return Err(error.into());
        }
        let folded = group.fold(&batch);
        let db = self.shared.db.begin_write().await?;
        if !group.write(&db, &batch, folded, 0, self.shared.clock.now()).await? {
            self.shared.db.rollback(db).await?;
            return Err(ProjectionError::Superseded);
        }
        let in_step = self.shared.db.is_mysql();
        let switch =
            !in_step && !batch.full && (abandon_live || self.reached_live(&db, group, &batch).await?);
        if switch {
            for target in &group.targets {
                let model = target.projection.model();
                let from = meta::load_one(&db, model.name).await?.active_version;
                meta::activate(&db, model.name, (from, target.version)).await?;
                create_views(&db, model, target.version).await?;
            }
        }
        self.shared.db.commit(db).await?;
        group.advance(&batch);
        let switched = switch || in_step && !batch.full && self.switch_held(group, abandon_live).await?;
        Ok(if switched { Filled::Switched } else { Filled::More })
    }

    /// Whether the versions contain, with this batch, what the live ones do. The live ones stand still meanwhile: on
    /// SQLite this transaction has the database to itself.
    async fn reached_live(
        &self,
        db: &DatabaseTransaction,
        group: &Group,
        batch: &Batch,
    ) -> Result<bool, ProjectionError> {
        let states = meta::load(db).await?;
        let mut reached = true;
        for target in &group.targets {
            let name = target.name();
            let state = states.get(name).ok_or(ProjectionError::Superseded)?;
            if state.active_version == target.version {
                return Err(ProjectionError::Superseded);
            }
            let live = state.active()?.position;
            reached &= live <= batch.last().unwrap_or(target.position).max(target.position);
            if !reached && batch.events.is_empty() {
                let head = self.shared.log.head().await?;
                if live > head {
                    return Err(ProjectionError::OtherLog { name: name.to_owned(), position: live, head });
                }
            }
        }
        Ok(reached)
    }

    /// Sets the targets to where the database says they are.
    async fn reload(&self, group: &mut Group) -> Result<(), ProjectionError> {
        let states = meta::load(&self.shared.db.writer()).await?;
        for target in &mut group.targets {
            let checkpoint =
                states.get(target.name()).and_then(|state| state.checkpoints.get(&target.version));
            target.position = checkpoint.ok_or(ProjectionError::Superseded)?.position;
        }
        Ok(())
    }

    /// The group of these versions.
    pub(super) fn group(&self, guard: meta::Guard, targets: Vec<Target>) -> Group {
        Group { guard, targets }
    }
}

/// Whether trying again may help: the database was busy or full, the log not there for a moment.
fn may_pass(error: &ProjectionError) -> bool {
    match error {
        ProjectionError::Database(error) => !matches!(error, DbErr::Type(_) | DbErr::Custom(_)),
        ProjectionError::Log(error) => {
            error.downcast_ref::<verbatim_application::codec::DecodeError>().is_none()
        }
        _ => false,
    }
}
