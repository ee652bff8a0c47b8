//! Rebuild, rollback, drop-old.

use super::{Admin, Progress, fill::OnProgress};
use crate::{
    ProjectionError,
    group::{Group, Target},
    meta::{self, Guard},
};
use std::{collections::BTreeSet, sync::Arc};
use verbatim_application::error::causes;

impl Admin {
    /// Fills a new version of each of these projections from the first event on, beside the live one, reading the log
    /// once for all; then makes the new ones active, together. What was active is kept for [`Self::rollback`]; what was
    /// kept before is dropped.
    ///
    /// # Errors
    /// [`ProjectionError`]; the active versions are as they were then, and what was filled is dropped now or by the next
    /// rebuild.
    pub async fn rebuild<S: AsRef<str> + Sync>(
        &self,
        names: &[S],
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        self.rebuild_all(names, false, progress).await
    }

    /// Fills what is of another log or program anew. What it replaces is not kept if it is of another log: nobody could
    /// go back there.
    pub(crate) async fn refill(
        &self,
        names: &[&'static str],
        foreign: &BTreeSet<&'static str>,
    ) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        self.rebuild_all(names, true, &mut |_| {}).await?;
        let db = self.begin_exclusive().await?;
        for projection in self.named(names)? {
            let model = projection.model();
            let previous = meta::load_one(&*db, model.name).await?.previous_version;
            if let Some(previous) = previous.filter(|_| foreign.contains(model.name)) {
                self.shared.db.schema(meta::drop_version(&db, model, previous)).await?;
            }
        }
        Ok(db.end().await?)
    }

    /// Writes down why the live versions of these projections do not go on.
    pub(crate) async fn note_error(
        &self,
        names: &[&'static str],
        error: &str,
    ) -> Result<(), ProjectionError> {
        let db = self.shared.db.begin_write().await?;
        for name in names {
            let version = meta::load_one(&db, name).await?.active_version;
            meta::record_error(&db, name, version, error).await?;
        }
        Ok(self.shared.db.commit(db).await?)
    }

    async fn rebuild_all<S: AsRef<str>>(
        &self,
        names: &[S],
        abandon_live: bool,
        progress: OnProgress<'_>,
    ) -> Result<(), ProjectionError> {
        let projections = self.named(names)?;
        if projections.is_empty() {
            return Ok(());
        }
        let mut targets = Vec::new();
        let db = self.begin_exclusive().await?;
        for projection in projections {
            self.shared.db.schema(meta::drop_leftovers(&db, projection.model(), i32::MAX)).await?;
            let version = self.shared.db.schema(meta::create_version(&db, projection.model())).await?;
            targets.push(Target { projection, version, position: 0, until: u64::MAX });
        }
        db.end().await?;
        let mut group = self.group(Guard::Beside, targets);
        let filled = self.fill_and_switch(&mut group, abandon_live, progress).await;
        if let Err(error) = self.drop_leftovers(&group).await {
            tracing::warn!(
                error = causes(&error),
                "old versions are not dropped yet; the next rebuild does it"
            );
        }
        filled
    }

    /// Drops what a switch has pushed out, or a failure left behind.
    async fn drop_leftovers(&self, group: &Group) -> Result<(), ProjectionError> {
        let db = self.begin_exclusive().await?;
        for target in &group.targets {
            self.shared
                .db
                .schema(meta::drop_leftovers(&db, target.projection.model(), target.version))
                .await?;
        }
        Ok(db.end().await?)
    }

    /// Makes the previous version active again, once it contains what the live one does; that becomes the previous one.
    ///
    /// # Errors
    /// [`ProjectionError::NoPrevious`], [`ProjectionError::OtherSchema`] and others; the active version is as it was then.
    pub async fn rollback(
        &self,
        name: &str,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        let mut targets = Vec::new();
        for projection in self.named(&[name])? {
            let state = meta::load_one(&self.shared.db.writer(), name).await?;
            let (version, checkpoint) =
                state.previous().ok_or_else(|| ProjectionError::NoPrevious(name.to_owned()))?;
            if checkpoint.schema_version != projection.model().schema_version {
                return Err(ProjectionError::OtherSchema(name.to_owned()));
            }
            let position = checkpoint.position;
            targets.push(Target { projection: Arc::clone(&projection), version, position, until: u64::MAX });
        }
        let mut group = self.group(Guard::Beside, targets);
        self.fill_and_switch(&mut group, false, progress).await
    }

    /// Drops the previous version, which frees its space for the live one.
    ///
    /// # Errors
    /// [`ProjectionError::NoPrevious`] and others.
    pub async fn drop_old(&self, name: &str) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        for projection in self.named(&[name])? {
            let db = self.begin_exclusive().await?;
            let state = meta::load_one(&*db, name).await?;
            let previous =
                state.previous_version.ok_or_else(|| ProjectionError::NoPrevious(name.to_owned()))?;
            self.shared.db.schema(meta::drop_version(&db, projection.model(), previous)).await?;
            db.end().await?;
        }
        Ok(())
    }
}
