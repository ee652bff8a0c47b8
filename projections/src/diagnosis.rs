//! Whether what the read models hold is of this log, and of this program.

use crate::{ProjectionError, feed, meta::State, projection::Projection};
use std::{collections::BTreeMap, sync::Arc};
use verbatim_application::ports::EventLog;

/// Why a projection's active version is not to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The database was away so far.
    Unseen,
    /// It was written by a program with another shape of the tables, of this number.
    Schema(i32),
    /// It was folded from another log: an older backup of the log was put beside it, or the file of another service.
    Log,
}

impl Fault {
    pub(crate) fn report(self, projection: &str) {
        match self {
            Self::Unseen => {}
            Self::Schema(stored) => tracing::warn!(
                projection,
                "the read model has schema version {stored}, which is not the one that this program wants; it is not \
                 read until it is filled anew"
            ),
            Self::Log => tracing::warn!(
                projection,
                "the read model was folded from another event log than this one; it is not read until it is filled \
                 anew"
            ),
        }
    }
}

/// Compares each active checkpoint with the program and with the log.
pub(crate) async fn diagnose(
    states: &BTreeMap<String, State>,
    projections: &[Arc<dyn Projection>],
    log: &Arc<dyn EventLog>,
) -> Result<BTreeMap<&'static str, Fault>, ProjectionError> {
    let head = log.head().await?;
    // All usually stand at the same event, which is then read once.
    let mut marks: BTreeMap<u64, String> = BTreeMap::new();
    let mut faults = BTreeMap::new();
    for projection in projections {
        let model = projection.model();
        let Some(state) = states.get(model.name) else { continue };
        let checkpoint = state.active()?;
        let position = checkpoint.position;
        if position > 0 && position <= head && !marks.contains_key(&position) {
            let event = log.read(position - 1, 1).await?;
            marks.insert(position, event.first().map(feed::mark).unwrap_or_default());
        }
        if position > 0 && marks.get(&position) != Some(&checkpoint.event) {
            faults.insert(model.name, Fault::Log);
        } else if checkpoint.schema_version != model.schema_version {
            faults.insert(model.name, Fault::Schema(checkpoint.schema_version));
        }
    }
    Ok(faults)
}
