//! What operators ask of a running service: readiness, and the verbs on the projections over HTTP.

use crate::{http::Readiness, telemetry::rebuilding};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use verbatim_application::ports::{
    AdminError, EventLog, ProjectionStatus, ProjectionsAdmin, VERIFICATION_SAMPLES_MAX, Verification,
};
use verbatim_observability::Metrics;
use verbatim_projections::{Admin, ProjectionError, ReadModels};

/// How long each dependency has to show that it is there.
const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Readiness of the embedded mode.
pub(crate) struct Dependencies {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) read_models: ReadModels,
}

#[async_trait]
impl Readiness for Dependencies {
    async fn check(&self) -> Vec<(&'static str, Result<(), String>)> {
        let log = match tokio::time::timeout(CHECK_LIMIT, self.log.head()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let read_models = match tokio::time::timeout(CHECK_LIMIT, self.read_models.admin().status()).await {
            Ok(Ok(_)) => match self.read_models.closed() {
                closed if closed.is_empty() => Ok(()),
                closed => Err(format!("being filled anew: {}", closed.join(", "))),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        vec![("event_log", log), ("read_models", read_models)]
    }
}

/// The operators' verbs over HTTP.
pub(crate) struct Operators(pub(crate) Admin, pub(crate) Metrics);

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
        let admin = self.0.clone();
        let mut shown = rebuilding(&self.1, &names);
        // Busy is told at once, if it can be: the rebuild takes the same lock again when it starts.
        if admin.is_busy() {
            return Err(AdminError::Busy);
        }
        tokio::spawn(async move {
            match admin.rebuild(&names, &mut shown).await {
                Ok(()) => tracing::info!(projection = names.join(","), "rebuilt"),
                Err(error) => {
                    tracing::error!(projection = names.join(","), %error, "a rebuild failed; the live versions stay")
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
