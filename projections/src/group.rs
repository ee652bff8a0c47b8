//! Some projections of one database that are written together: the log is read once for all of them, and their rows and
//! checkpoints change in one transaction.

use crate::{
    Changes, Projection,
    feed::Batch,
    meta::{self, Guard, Step},
};
use sea_orm::{DatabaseTransaction, DbErr};
use std::{collections::BTreeMap, sync::Arc};
use verbatim_application::codec::Envelope;
use verbatim_domain::Timestamp;

/// One version of one projection, on its way through the log.
#[derive(Clone)]
pub(crate) struct Target {
    pub projection: Arc<dyn Projection>,
    pub version: i32,
    /// The last event it contains.
    pub position: u64,
    /// The last event it is to contain.
    pub until: u64,
}

impl Target {
    pub(crate) fn name(&self) -> &'static str {
        self.projection.model().name
    }

    /// The events it does not contain yet, and is to contain.
    fn pending<'a>(&self, events: &'a [Envelope]) -> &'a [Envelope] {
        let from = events.partition_point(|envelope| envelope.position <= self.position);
        let to = events.partition_point(|envelope| envelope.position <= self.until);
        events.get(from..to).unwrap_or_default()
    }

    /// Where a batch takes it.
    fn after(&self, batch: &Batch) -> u64 {
        self.pending(&batch.events).last().map_or(self.position, |envelope| envelope.position)
    }
}

/// The versions that are written together.
#[derive(Clone)]
pub(crate) struct Group {
    pub guard: Guard,
    pub targets: Vec<Target>,
}

/// What a batch changes, folded before the transaction begins.
pub(crate) struct Folded(Vec<Box<dyn Changes>>);

impl Group {
    /// Where the log is to be read on: the smallest of the checkpoints.
    pub(crate) fn position(&self) -> Option<u64> {
        self.targets.iter().map(|target| target.position).min()
    }

    /// The first stretch of the log that is still to be read: after which event, and up to which, so that it ends where
    /// one of the targets does. `None` once all are where they are to be.
    pub(crate) fn behind(&self) -> Option<(u64, u64)> {
        let behind = || self.targets.iter().filter(|target| target.position < target.until);
        let after = behind().map(|target| target.position).min()?;
        Some((after, behind().map(|target| target.until).min()?))
    }

    /// Folds a batch for each target.
    pub(crate) fn fold(&self, batch: &Batch) -> Folded {
        Folded(self.targets.iter().map(|t| t.projection.fold(t.pending(&batch.events))).collect())
    }

    /// Writes a folded batch and moves the checkpoints on. `false`: somebody else was here, roll back and look again.
    pub(crate) async fn write(
        &self,
        db: &DatabaseTransaction,
        batch: &Batch,
        folded: Folded,
        published: u64,
        at: Timestamp,
    ) -> Result<bool, DbErr> {
        // The checkpoints first: whoever is late finds out before writing anything.
        let mut steps: BTreeMap<(u64, u64), Vec<(&'static str, i32)>> = BTreeMap::new();
        for target in &self.targets {
            let to = target.after(batch);
            if to > target.position {
                steps.entry((target.position, to)).or_default().push((target.name(), target.version));
            }
        }
        for ((from, to), versions) in steps {
            let event = if batch.last() == Some(to) { batch.mark.as_str() } else { "" };
            let step = Step { versions: &versions, from, to, event, published, at };
            if !meta::advance(db, self.guard, step).await? {
                return Ok(false);
            }
        }
        for (target, changes) in self.targets.iter().zip(folded.0) {
            if target.after(batch) > target.position {
                changes.write(db, target.version).await?;
            }
        }
        Ok(true)
    }

    /// Takes note of a batch that was committed.
    pub(crate) fn advance(&mut self, batch: &Batch) {
        for target in &mut self.targets {
            target.position = target.after(batch);
        }
    }
}
