//! Comparing the live versions with ones folded from the log, while the service runs.

use super::{Admin, Difference, Progress, Stage, compare::compare, fill::FILL_BATCH};
use crate::{
    Projection, ProjectionError,
    db::Database,
    feed::Feed,
    group::{Group, Target},
    meta::{self, Guard, State},
};
use sea_orm::ConnectionTrait;
use std::{collections::BTreeMap, sync::Arc};

/// The version in the temporary database.
const FRESH: i32 = 1;

/// What a comparison was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Up to which event.
    pub position: u64,
    /// How many rows were compared.
    pub rows: u64,
    /// How many of them are not as the log says.
    pub differences: u64,
}

impl Admin {
    /// Folds the log into a temporary database, up to exactly where the live versions of these projections are, and
    /// compares all rows. The service goes on meanwhile: the live rows are read as of one moment.
    ///
    /// # Errors
    /// [`ProjectionError`], among others when the live version contains events that the log does not have.
    pub async fn verify<S: AsRef<str> + Sync>(
        &self,
        names: &[S],
        progress: &mut (dyn FnMut(Progress) + Send),
        on_difference: &mut (dyn FnMut(Difference) + Send),
    ) -> Result<Verified, ProjectionError> {
        let projections = self.named(names)?;
        let folder = tempfile::tempdir().map_err(ProjectionError::Temporary)?;
        let url = format!("sqlite:{}", folder.path().join("verify.db").display());
        let fresh = Database::connect(&url).await?;
        let verified = self.verify_in(&fresh, &projections, progress, on_difference).await;
        // Closed before its file is removed with the folder.
        fresh.close().await?;
        verified
    }

    async fn verify_in(
        &self,
        fresh: &Database,
        projections: &[Arc<dyn Projection>],
        progress: &mut (dyn FnMut(Progress) + Send),
        on_difference: &mut (dyn FnMut(Difference) + Send),
    ) -> Result<Verified, ProjectionError> {
        fresh.writer().execute_unprepared("PRAGMA synchronous = OFF").await?;
        let target = |projection: &Arc<dyn Projection>| Target {
            projection: Arc::clone(projection),
            version: FRESH,
            position: 0,
            until: 0,
        };
        let mut group = self.group(Guard::Live, projections.iter().map(target).collect());

        // Most of the way first: a snapshot that is held for long keeps the database from clearing away what it shows.
        let states = meta::load(&self.shared.db.reader()).await?;
        self.fold_up_to(fresh, &mut group, &states, progress).await?;
        let live = self.shared.db.begin_read().await?;
        let states = meta::load(&live).await?;
        self.fold_up_to(fresh, &mut group, &states, progress).await?;

        let position = group.targets.iter().map(|target| target.position).max().unwrap_or(0);
        let mut verified = Verified { position, rows: 0, differences: 0 };
        for projection in projections {
            let model = projection.model();
            let version = active(&states, model.name)?.active_version;
            for table in model.tables {
                let mut on_rows = |rows| {
                    verified.rows += rows;
                    let done = verified.rows;
                    progress(Progress { stage: Stage::Compare, done, total: done.max(position) });
                };
                let (expected, found) = ((&fresh.writer(), FRESH), (&live, version));
                verified.differences +=
                    compare(expected, found, model.name, table, on_difference, &mut on_rows).await?;
            }
        }
        self.shared.db.rollback(live).await?;
        Ok(verified)
    }

    /// Folds the log into the temporary database up to where these live versions are.
    async fn fold_up_to(
        &self,
        fresh: &Database,
        group: &mut Group,
        states: &BTreeMap<String, State>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ProjectionError> {
        let mut total = 0;
        for target in &mut group.targets {
            target.until = active(states, target.name())?.active()?.position;
            total = total.max(target.until);
        }
        let mut feed = Feed::new(Arc::clone(&self.shared.log));
        while let Some(behind) = group.targets.iter().find(|target| target.position < target.until) {
            let (name, wanted) = (behind.name(), behind.until);
            let after = group.behind().map_or(0, |(after, _)| after);
            let mut batch = feed.next(after, FILL_BATCH).await?;
            if batch.events.is_empty() {
                if let Some(error) = batch.broken.take() {
                    return Err(error.into());
                }
                let head = self.shared.log.head().await?;
                return Err(ProjectionError::OtherLog { name: name.to_owned(), position: wanted, head });
            }
            let folded = group.fold(&batch);
            let db = fresh.begin_write().await?;
            if !group.write(&db, &batch, folded, 0, self.shared.clock.now()).await? {
                return Err(ProjectionError::Superseded);
            }
            db.commit().await?;
            group.advance(&batch);
            let done = group.targets.iter().map(|target| target.position).min().unwrap_or(total);
            progress(Progress { stage: Stage::Fill, done, total });
        }
        Ok(())
    }
}

fn active<'a>(states: &'a BTreeMap<String, State>, name: &str) -> Result<&'a State, ProjectionError> {
    states.get(name).ok_or_else(|| ProjectionError::Unknown(name.to_owned()))
}
