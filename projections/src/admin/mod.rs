//! The operators' verbs. All work while the service runs, in this process or in another one: each step is a short
//! transaction that checks what it believes.

mod compare;
mod fill;
mod switch;
mod verify;
mod versions;

pub use compare::Difference;
pub use verify::Verified;

use crate::{NoObserver, Projection, ProjectionError, db::Database, meta, shared::Shared};
use std::{collections::BTreeMap, sync::Arc};
use verbatim_application::ports::{Clock, EventLog};

/// How far a long operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Events read, or rows compared.
    pub done: u64,
    /// Of how many; grows while the service runs. For rows it is an estimate.
    pub total: u64,
}

/// The parts of a long operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Folding events into a version.
    Fill,
    /// Comparing rows.
    Compare,
}

/// What is known about one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// The version that is read.
    pub active_version: i32,
    /// Schema version of that.
    pub schema_version: i32,
    /// The last event it contains.
    pub position: u64,
    /// The log's head.
    pub head: u64,
    /// How many events it is behind.
    pub lag: u64,
    /// The version to roll back to, if any.
    pub previous_version: Option<i32>,
    /// When it last took events in; RFC 3339.
    pub updated_at: Option<String>,
    /// Why it does not go on, if it does not.
    pub last_error: Option<String>,
    /// Whether readers are refused because it is filled anew.
    pub closed: bool,
}

/// The operators' verbs.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
}

impl Admin {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Opens the read models for the operators' verbs only, beside a running service or without one.
    ///
    /// # Errors
    /// The database can't be opened.
    pub async fn open(
        url: &str,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProjectionError> {
        let db = Box::pin(Database::connect(url)).await?;
        let shared = Shared::new(db, log, clock, Arc::new(NoObserver), true);
        shared.gate.set(BTreeMap::new());
        Ok(Self::new(Arc::new(shared)))
    }

    /// Names of all projections.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.shared.projections.iter().map(|projection| projection.model().name).collect()
    }

    /// Whether an operation is under way in this process.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.operation.try_lock().is_err()
    }

    /// Where every projection is.
    ///
    /// # Errors
    /// Database or log can't be read.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, ProjectionError> {
        let states = meta::load(&self.shared.db.reader()).await;
        let states = states.inspect_err(|_| self.shared.db.readers_failed())?;
        // Asked after the checkpoints, so that no lag is negative.
        let head = self.shared.log.head().await?;
        let mut statuses = Vec::new();
        for projection in &self.shared.projections {
            let name = projection.model().name;
            let Some(state) = states.get(name) else { continue };
            let checkpoint = state.active()?;
            statuses.push(ProjectionStatus {
                name,
                active_version: state.active_version,
                schema_version: checkpoint.schema_version,
                position: checkpoint.position,
                head,
                lag: head.saturating_sub(checkpoint.position),
                previous_version: state.previous_version,
                updated_at: checkpoint.updated_at.clone(),
                last_error: checkpoint.last_error.clone(),
                closed: self.shared.gate.is_closed(name),
            });
        }
        Ok(statuses)
    }

    /// The projections of these names, each once, in their own order.
    fn named<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<Arc<dyn Projection>>, ProjectionError> {
        let known: BTreeMap<&str, &Arc<dyn Projection>> =
            self.shared.projections.iter().map(|projection| (projection.model().name, projection)).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains_key(name.as_ref())) {
            return Err(ProjectionError::Unknown(unknown.as_ref().to_owned()));
        }
        let wanted = |projection: &&Arc<dyn Projection>| {
            names.iter().any(|name| name.as_ref() == projection.model().name)
        };
        Ok(self.shared.projections.iter().filter(wanted).cloned().collect())
    }

    /// The right to change versions in this process.
    fn exclusive(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, ProjectionError> {
        self.shared.operation.try_lock().map_err(|_| ProjectionError::Busy)
    }
}
