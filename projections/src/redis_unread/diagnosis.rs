//! Whether what Redis holds is of this log, and of this program.

use super::store::{Place, SCHEMA_VERSION, State, Version};
use crate::feed;
use std::sync::Arc;
use verbatim_application::ports::{EventLog, LogError};

/// What is to be thought of the active version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// It can be read and written on.
    Sound(Place),
    /// There is none: Redis is new, or was wiped.
    Missing,
    /// It was written by a program with another shape of the keys.
    Schema,
    /// It was folded from another log.
    Foreign(Place),
}

/// Compares the active version with the program and the log.
pub(super) async fn diagnose(state: &State, log: &Arc<dyn EventLog>) -> Result<Finding, LogError> {
    let Some(active) = &state.active else { return Ok(Finding::Missing) };
    if !is_of(active, log).await? {
        return Ok(Finding::Foreign(Place::of(active)));
    }
    Ok(if active.schema == SCHEMA_VERSION { Finding::Sound(Place::of(active)) } else { Finding::Schema })
}

/// Whether a version was folded from this log: the event it ends with is there, at that place.
pub(super) async fn is_of(version: &Version, log: &Arc<dyn EventLog>) -> Result<bool, LogError> {
    if version.position == 0 {
        return Ok(true);
    }
    let event = log.read(version.position - 1, 1).await?;
    Ok(event
        .first()
        .is_some_and(|event| event.position == version.position && feed::mark(event) == version.mark))
}
