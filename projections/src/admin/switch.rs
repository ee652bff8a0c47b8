//! Making filled versions the active ones, on MySQL; [`crate::switch`] says how.

use super::{Admin, fill::FILL_BATCH};
use crate::{
    ProjectionError,
    db::Exclusive,
    feed::Feed,
    group::Group,
    meta::{self, State},
    switch,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use verbatim_application::error::causes;
use verbatim_migrations::read_models::create_views;

/// Live versions that do not move for so long are moved by nobody.
const STANDSTILL: Duration = Duration::from_secs(2);
/// The longest that is waited for live versions that do; the server gives a silent process up after ten seconds.
const LIVE_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at where the live versions are.
const POLL: Duration = Duration::from_millis(2);
/// The most events that are filled in while the live versions are held: it bounds how long those stand still.
const HELD_EVENTS: u64 = FILL_BATCH as u64;

/// The active version of a projection, held at a position.
struct Held {
    name: &'static str,
    version: i32,
    position: u64,
}

impl Admin {
    /// Makes the group's versions active, once they are where the live ones are. `false`: those are too far away.
    pub(super) async fn switch_held(
        &self,
        group: &mut Group,
        abandon_live: bool,
    ) -> Result<bool, ProjectionError> {
        let db = self.begin_exclusive().await?;
        if !abandon_live && !self.wait_for_live(group).await? {
            db.end().await?;
            return Ok(false);
        }
        let held = self.hold(&db, group).await?;
        let switched = self.switch(&db, group, &held, abandon_live).await;
        for target in &mut group.targets {
            target.until = u64::MAX;
        }
        if matches!(switched, Ok(true)) {
            db.end().await?;
            return Ok(true);
        }
        let undoing = async {
            db.rollback().await?;
            switch::undo(&self.shared.db, &db, &self.shared.projections).await?;
            db.end().await
        };
        if let Err(error) = undoing.await {
            tracing::warn!(
                error = causes(&error),
                "a switch of versions is left to be undone by the next one"
            );
        }
        switched
    }

    /// The right to change the schema, after having undone what a process that died has left.
    pub(super) async fn begin_exclusive(&self) -> Result<Exclusive, ProjectionError> {
        let db = self.shared.db.begin_exclusive().await?;
        let undone = switch::undo(&self.shared.db, &db, &self.shared.projections).await?;
        if !undone.is_empty() {
            tracing::warn!(projection = undone.join(","), "undid a switch of versions that was broken off");
        }
        Ok(db)
    }

    /// Waits until no live version is behind the group's, unless nobody moves them. `false`: it takes too long.
    async fn wait_for_live(&self, group: &Group) -> Result<bool, ProjectionError> {
        let begun = Instant::now();
        let mut seen = (Vec::new(), begun);
        loop {
            let states = meta::load(&self.shared.db.writer()).await?;
            let mut positions = Vec::new();
            for target in &group.targets {
                positions.push(state_of(&states, target.name())?.active()?.position);
            }
            let reached = group.targets.iter().zip(&positions).all(|(target, live)| *live >= target.position);
            if seen.0 != positions {
                seen = (positions, Instant::now());
            }
            if reached || seen.1.elapsed() > STANDSTILL {
                return Ok(true);
            }
            if begun.elapsed() > LIVE_LIMIT {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Holds the live versions, and tells where they are then: what was being written is in.
    async fn hold(&self, db: &Exclusive, group: &Group) -> Result<Vec<Held>, ProjectionError> {
        db.transaction().await?;
        let states = meta::load(&**db).await?;
        let mut versions = Vec::new();
        for target in &group.targets {
            let state = state_of(&states, target.name())?;
            if state.active_version == target.version || !state.checkpoints.contains_key(&target.version) {
                return Err(ProjectionError::Superseded);
            }
            versions.push((target.name(), state.active_version));
        }
        meta::hold(&**db, &versions, Some(self.shared.clock.now())).await?;
        let states = meta::load(&**db).await?;
        db.commit().await?;
        let held = versions.into_iter().map(|(name, version)| {
            let position = state_of(&states, name)?.active()?.position;
            Ok(Held { name, version, position })
        });
        held.collect()
    }

    async fn switch(
        &self,
        db: &Exclusive,
        group: &mut Group,
        held: &[Held],
        abandon_live: bool,
    ) -> Result<bool, ProjectionError> {
        if !abandon_live {
            for (target, live) in group.targets.iter_mut().zip(held) {
                if live.position.saturating_sub(target.position) > HELD_EVENTS {
                    return Ok(false);
                }
                target.until = live.position.max(target.position);
            }
            self.fill_held(db, group).await?;
        }
        for target in &group.targets {
            self.shared.db.schema(create_views(&**db, target.projection.model(), target.version)).await?;
        }
        db.transaction().await?;
        for (target, live) in group.targets.iter().zip(held) {
            if !meta::activate(db, live.name, (live.version, target.version)).await? {
                return Err(ProjectionError::Superseded);
            }
        }
        db.commit().await?;
        Ok(true)
    }

    /// Fills the group up to where each of its versions is to be.
    async fn fill_held(&self, db: &Exclusive, group: &mut Group) -> Result<(), ProjectionError> {
        while let Some((after, upto)) = group.behind() {
            // Not an event more: the checkpoint names the last one of the batch.
            let limit = usize::try_from(upto.saturating_sub(after)).unwrap_or(FILL_BATCH);
            let mut batch =
                Feed::new(Arc::clone(&self.shared.log)).next(after, limit.min(FILL_BATCH)).await?;
            if batch.events.is_empty() {
                if let Some(error) = batch.broken.take() {
                    return Err(error.into());
                }
                let head = self.shared.log.head().await?;
                let behind = group.targets.iter().find(|target| target.position < target.until);
                let (name, position) = behind.map_or(("", 0), |target| (target.name(), target.until));
                return Err(ProjectionError::OtherLog { name: name.to_owned(), position, head });
            }
            let folded = group.fold(&batch);
            db.transaction().await?;
            if !group.write(db, &batch, folded, 0, self.shared.clock.now()).await? {
                return Err(ProjectionError::Superseded);
            }
            db.commit().await?;
            group.advance(&batch);
        }
        Ok(())
    }
}

fn state_of<'a>(states: &'a BTreeMap<String, State>, name: &str) -> Result<&'a State, ProjectionError> {
    states.get(name).ok_or(ProjectionError::Superseded)
}
