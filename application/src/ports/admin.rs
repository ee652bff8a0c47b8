//! Operating the projections, while the service runs.

use crate::error::{AppError, ErrorClass};
use async_trait::async_trait;

/// Where one projection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Stable name.
    pub name: String,
    /// The version that is read, from 1; each rebuild makes a new one.
    pub version: u64,
    /// The version before it, as long as it is kept for going back.
    pub previous_version: Option<u64>,
    /// Version of the tables' shape, as the program knows it.
    pub schema_version: u32,
    /// Log position up to which everything is applied.
    pub position: u64,
    /// Position of the last event in the log.
    pub head: u64,
    /// Events that are not applied yet.
    pub lag: u64,
    /// Why it does not come on, for operators; `None` as long as it does.
    pub last_error: Option<String>,
}

/// What a comparison of the live read model with one folded from the log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Which projection.
    pub name: String,
    /// Log position as of which both were compared.
    pub position: u64,
    /// How many rows differ.
    pub differences: u64,
    /// The first few of them, a sentence each; at most [`VERIFICATION_SAMPLES_MAX`].
    pub samples: Vec<String>,
}

/// Most differences that a [`Verification`] spells out.
pub const VERIFICATION_SAMPLES_MAX: usize = 100;

/// Why an operator's order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No projection has this name.
    #[error("there is no such projection")]
    Unknown,
    /// A rebuild or verification of it is under way.
    #[error("this projection is being worked on already")]
    Busy,
    /// There is no version to go back to, or to drop.
    #[error("this projection has no previous version")]
    NoPreviousVersion,
    /// The log or the database behind the projection failed.
    #[error("the projection can't be worked on now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<AdminError> for AppError {
    fn from(error: AdminError) -> Self {
        let detail = error.to_string();
        match error {
            AdminError::Unknown => Self::new(ErrorClass::NotFound, "projection_not_found", detail),
            AdminError::Busy => Self::new(ErrorClass::Conflict, "projection_busy", detail),
            AdminError::NoPreviousVersion => Self::new(ErrorClass::Rejected, "no_previous_version", detail),
            AdminError::Unavailable(source) => {
                Self::unavailable("the projection can't be worked on now", source)
            }
        }
    }
}

/// What operators do with projections.
#[async_trait]
pub trait ProjectionsAdmin: Send + Sync + 'static {
    /// All projections, by name.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`]
    async fn list(&self) -> Result<Vec<ProjectionStatus>, AdminError>;

    /// Starts filling new versions beside the live ones and comes back at once. Each is switched to when it has
    /// caught up; how far it is shows in the metrics and the log.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] or [`AdminError::Busy`] for any of the names: then none is started.
    async fn start_rebuild(&self, names: Vec<String>) -> Result<(), AdminError>;

    /// Compares the live version with one folded from the log.
    ///
    /// # Errors
    /// [`AdminError::Unknown`], [`AdminError::Busy`], [`AdminError::Unavailable`].
    async fn verify(&self, name: &str) -> Result<Verification, AdminError>;

    /// Goes back to the previous version.
    ///
    /// # Errors
    /// [`AdminError::Unknown`], [`AdminError::Busy`], [`AdminError::NoPreviousVersion`], [`AdminError::Unavailable`].
    async fn rollback(&self, name: &str) -> Result<ProjectionStatus, AdminError>;

    /// Frees the previous version.
    ///
    /// # Errors
    /// As [`Self::rollback`].
    async fn drop_old(&self, name: &str) -> Result<ProjectionStatus, AdminError>;
}
