//! The operators' verbs. All work while the service runs, in this process or in another one: each step is one script that
//! checks what it believes.

use super::{
    NAME, Shared, diagnosis::is_of, failure::Failure, fill::fill_patiently, nobody, store::*, verify,
};
use crate::{Difference, Progress, ProjectionError, ProjectionStatus, Verified};
use std::sync::Arc;
use verbatim_application::error::causes;
use verbatim_application::ports::{Clock, EventLog};

/// The operators' verbs for the unread counts in Redis, as [`crate::Admin`] has them for the relational read models.
#[derive(Clone)]
pub struct RedisUnreadAdmin {
    shared: Arc<Shared>,
}

impl RedisUnreadAdmin {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// For the operators' verbs only, beside a running service or without one. Redis is connected to by each verb.
    ///
    /// # Errors
    /// The URL is none of a Redis.
    pub fn open(url: &str, log: Arc<dyn EventLog>, clock: Arc<dyn Clock>) -> Result<Self, ProjectionError> {
        Shared::new(url, log, clock, nobody()).map(Self::new)
    }

    /// Name of the projection.
    #[must_use]
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// Whether an operation is under way in this process.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.operation.try_lock().is_err()
    }

    /// Where the projection is. Redis being away is no error: then this is what was last seen of it, with the reason as
    /// its last error. `closed` says that Redis answers nobody, because it is away or being filled; the relational read
    /// models do then.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn status(&self) -> Result<ProjectionStatus, ProjectionError> {
        let (state, away) = match self.look().await {
            Ok(state) => (state, None),
            Err(failure) => (self.shared.last_seen(), Some(causes(&failure))),
        };
        // Asked after the position, so that the lag is not negative.
        let head = self.shared.log.head().await?;
        let version = state.active.as_ref();
        let position = version.map_or(0, |version| version.position);
        Ok(ProjectionStatus {
            name: NAME,
            active_version: version.map_or(0, |version| version.tag.number()),
            schema_version: version.map_or(SCHEMA_VERSION, |version| version.schema),
            position,
            head,
            lag: head.saturating_sub(position),
            previous_version: state.previous.map(|previous| previous.tag.number()),
            updated_at: version.and_then(|version| version.updated_at.clone()),
            closed: away.is_some() || version.is_none_or(|version| version.schema != SCHEMA_VERSION),
            last_error: away.or_else(|| version.and_then(|version| version.error.clone())),
        })
    }

    async fn look(&self) -> Result<State, Failure> {
        let state = Store::connect(&self.shared.server).await?.state().await?;
        self.shared.saw(&state);
        Ok(state)
    }

    /// Fills a new version from the first event on, beside the active one, which is read and written on meanwhile; then
    /// makes the new one active. What was active is kept for [`Self::rollback`]; what was kept before is removed. Redis
    /// holds all three for a while.
    ///
    /// # Errors
    /// [`ProjectionError`]; the active version is as it was then, and what was filled is removed now or by the next rebuild.
    pub async fn rebuild(&self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        let mut store = Store::connect(&self.shared.server).await?;
        let mut place = store.begin().await?;
        // What one that never ended has left.
        store.sweep().await?;
        let filled = fill_patiently(&self.shared, &mut store, &mut place, progress).await;
        if let Err(failure) = self.clear_away(&mut store, filled.is_err().then_some(&place)).await {
            tracing::warn!(
                error = causes(&failure),
                "old unread counts stay in Redis until the next rebuild"
            );
        }
        filled
    }

    async fn clear_away(&self, store: &mut Store, unfinished: Option<&Place>) -> Result<(), Failure> {
        if let Some(place) = unfinished {
            *store = Store::connect(&self.shared.server).await?;
            store.release(&place.tag).await?;
        }
        store.sweep().await
    }

    /// Makes the previous version active again, once it contains what the active one does; that becomes the previous one.
    ///
    /// # Errors
    /// [`ProjectionError::NoPrevious`], [`ProjectionError::OtherSchema`] and others; the active version is as it was then.
    pub async fn rollback(&self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        let mut store = Store::connect(&self.shared.server).await?;
        let none = || ProjectionError::NoPrevious(NAME.to_owned());
        let previous = store.state().await?.previous.ok_or_else(none)?;
        if previous.schema != SCHEMA_VERSION {
            return Err(ProjectionError::OtherSchema(NAME.to_owned()));
        }
        if !is_of(&previous, &self.shared.log).await? {
            let (position, head) = (previous.position, self.shared.log.head().await?);
            return Err(ProjectionError::OtherLog { name: NAME.to_owned(), position, head });
        }
        fill_patiently(&self.shared, &mut store, &mut Place::of(&previous), progress).await
    }

    /// Removes the previous version, which frees its memory.
    ///
    /// # Errors
    /// [`ProjectionError::NoPrevious`] and others.
    pub async fn drop_old(&self) -> Result<(), ProjectionError> {
        let _operation = self.exclusive()?;
        let mut store = Store::connect(&self.shared.server).await?;
        let none = || ProjectionError::NoPrevious(NAME.to_owned());
        let previous = store.state().await?.previous.ok_or_else(none)?;
        if !store.release(&previous.tag).await? {
            return Err(ProjectionError::Superseded);
        }
        Ok(store.sweep().await?)
    }

    /// Folds the log in memory and compares it with what Redis holds, each part of it as of the position at which it was
    /// read. The service goes on meanwhile.
    ///
    /// # Errors
    /// [`ProjectionError`], among others when Redis holds no version, one of another log, or another one half-way.
    pub async fn verify(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
        on_difference: &mut (dyn FnMut(Difference) + Send),
    ) -> Result<Verified, ProjectionError> {
        verify::verify(&self.shared, progress, on_difference).await
    }

    /// The right to change versions in this process.
    fn exclusive(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, ProjectionError> {
        self.shared.operation.try_lock().map_err(|_| ProjectionError::Busy)
    }
}
