//! What operators ask of a running service: readiness, and the verbs on the projections over HTTP.

use crate::{
    http::{Readiness, ReadinessState},
    telemetry::Rebuilding,
    verbs::Verbs,
};
use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};
use std::{sync::Arc, time::Duration};
use verbatim_application::{
    error::causes,
    ports::{
        AdminError, EventLog, ProjectionStatus, ProjectionsAdmin, VERIFICATION_SAMPLES_MAX, Verification,
    },
};
use verbatim_observability::Metrics;
use verbatim_projections::{ProjectionError, ReadModels};

/// How long each dependency has to show that it is there.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Something that a node needs.
pub(crate) struct Dependency {
    name: &'static str,
    /// Whether the node is of use without it.
    luxury: bool,
    probe: Probe,
}

impl Dependency {
    /// The event log.
    pub(crate) fn log(log: Arc<dyn EventLog>) -> Self {
        let probe = move || -> BoxFuture<'static, Result<(), String>> {
            let log = log.clone();
            Box::pin(async move { log.head().await.map(drop).map_err(|error| error.to_string()) })
        };
        Self { name: "event_log", luxury: false, probe: Box::new(probe) }
    }

    /// The relational read models.
    pub(crate) fn read_models(read_models: ReadModels) -> Self {
        let probe = move || -> BoxFuture<'static, Result<(), String>> {
            let read_models = read_models.clone();
            Box::pin(async move {
                read_models.ping().await.map_err(|error| error.to_string())?;
                match read_models.closed() {
                    closed if closed.is_empty() => Ok(()),
                    closed => Err(format!("being filled anew: {}", closed.join(", "))),
                }
            })
        };
        Self { name: "read_models", luxury: false, probe: Box::new(probe) }
    }

    /// Something that makes things faster.
    pub(crate) fn luxury(
        name: &'static str,
        look: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let probe =
            move || -> BoxFuture<'static, Result<(), String>> { Box::pin(std::future::ready(look())) };
        Self { name, luxury: true, probe: Box::new(probe) }
    }

    async fn state(&self) -> (&'static str, ReadinessState) {
        let answer = tokio::time::timeout(CHECK_LIMIT, (self.probe)()).await;
        let state = match answer.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(()) => ReadinessState::Ready,
            Err(why) if self.luxury => ReadinessState::Degraded(why),
            Err(why) => ReadinessState::Away(why),
        };
        (self.name, state)
    }
}

/// Readiness of a node.
pub(crate) struct Dependencies(pub(crate) Vec<Dependency>);

#[async_trait]
impl Readiness for Dependencies {
    async fn check(&self) -> Vec<(&'static str, ReadinessState)> {
        join_all(self.0.iter().map(Dependency::state)).await
    }
}

/// The operators' verbs over HTTP.
pub(crate) struct Operators(Verbs, Metrics);

fn admin_error(error: ProjectionError) -> AdminError {
    match error {
        ProjectionError::Unknown(_) => AdminError::Unknown,
        ProjectionError::Busy => AdminError::Busy,
        ProjectionError::NoPrevious(_) | ProjectionError::OtherSchema(_) => AdminError::NoPreviousVersion,
        other => AdminError::Unavailable(Box::new(other)),
    }
}

fn status_of(status: verbatim_projections::ProjectionStatus) -> ProjectionStatus {
    ProjectionStatus {
        name: status.name.to_owned(),
        version: u64::try_from(status.active_version).unwrap_or_default(),
        previous_version: status.previous_version.and_then(|version| u64::try_from(version).ok()),
        schema_version: u32::try_from(status.schema_version).unwrap_or_default(),
        position: status.position,
        head: status.head,
        lag: status.lag,
        last_error: status.last_error,
    }
}

impl Operators {
    /// On these read models, with rebuilds shown in these metrics.
    pub(crate) fn new(verbs: Verbs, metrics: Metrics) -> Self {
        let names: Vec<String> = verbs.names().into_iter().map(str::to_owned).collect();
        // From the start, so that a dashboard knows what is not being rebuilt.
        Rebuilding::new(&metrics, &names).none();
        Self(verbs, metrics)
    }

    fn known(&self, name: &str) -> Result<(), AdminError> {
        if self.0.names().contains(&name) { Ok(()) } else { Err(AdminError::Unknown) }
    }

    async fn one(&self, name: &str) -> Result<ProjectionStatus, AdminError> {
        self.list().await?.into_iter().find(|status| status.name == name).ok_or(AdminError::Unknown)
    }
}

#[async_trait]
impl ProjectionsAdmin for Operators {
    async fn list(&self) -> Result<Vec<ProjectionStatus>, AdminError> {
        let all = self.0.status().await.map_err(admin_error)?;
        Ok(all.into_iter().map(status_of).collect())
    }

    async fn start_rebuild(&self, names: Vec<String>) -> Result<(), AdminError> {
        for name in &names {
            self.known(name)?;
        }
        let verbs = self.0.clone();
        let shown = Rebuilding::new(&self.1, &names);
        // Busy is told at once, if it can be: the rebuild takes the same lock again when it starts.
        if verbs.is_busy() {
            return Err(AdminError::Busy);
        }
        tokio::spawn(async move {
            match verbs.rebuild(&names, &mut |progress| shown.progress(progress)).await {
                Ok(()) => tracing::info!(projection = names.join(","), "rebuilt"),
                Err(error) => {
                    let (projection, error) = (names.join(","), causes(&error));
                    tracing::error!(projection, error, "a rebuild failed; the live versions stay");
                    shown.none();
                }
            }
        });
        Ok(())
    }

    async fn verify(&self, name: &str) -> Result<Verification, AdminError> {
        self.known(name)?;
        let mut samples = Vec::new();
        let verified = self
            .0
            .verify(&[name], &mut |_| {}, &mut |difference| {
                if samples.len() < VERIFICATION_SAMPLES_MAX {
                    samples.push(difference.to_string());
                }
            })
            .await
            .map_err(admin_error)?;
        Ok(Verification {
            name: name.to_owned(),
            position: verified.position,
            differences: verified.differences,
            samples,
        })
    }

    async fn rollback(&self, name: &str) -> Result<ProjectionStatus, AdminError> {
        self.0.rollback(name, &mut |_| {}).await.map_err(admin_error)?;
        self.one(name).await
    }

    async fn drop_old(&self, name: &str) -> Result<ProjectionStatus, AdminError> {
        self.0.drop_old(name).await.map_err(admin_error)?;
        self.one(name).await
    }
}
