//! Why the read models could not be opened, or a verb of the operators failed.

use crate::feed::FeedError;
use sea_orm::DbErr;

/// A failure of the read models.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// There is no projection of that name.
    #[error("there is no projection named {0}")]
    Unknown(String),
    /// There is no previous version.
    #[error("{0} has no previous version")]
    NoPrevious(String),
    /// The previous version has another shape than this program writes.
    #[error("the previous version of {0} was written by another release; rebuild it instead")]
    OtherSchema(String),
    /// Another rebuild, rollback or the like runs in this process.
    #[error("another operation on the projections is under way")]
    Busy,
    /// Another process switched or dropped the version that was being filled.
    #[error("another process has changed the versions meanwhile")]
    Superseded,
    /// The live version contains more events than the log has: they belong to different histories.
    #[error(
        "{name} contains events up to {position}, but the event log ends at {head}: it is of another log"
    )]
    OtherLog {
        /// Which projection.
        name: String,
        /// Its checkpoint.
        position: u64,
        /// The log's head.
        head: u64,
    },
    /// The database failed.
    #[error("the read-model database failed")]
    Database(#[from] DbErr),
    /// Redis failed, or what it holds can't be worked on.
    #[error("the projection in Redis can't be worked on")]
    Redis(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The event log failed, or holds what this program can't read.
    #[error("the event log can't be read on")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A temporary file could not be made.
    #[error("no temporary database could be made")]
    Temporary(#[source] std::io::Error),
}

impl From<FeedError> for ProjectionError {
    fn from(error: FeedError) -> Self {
        Self::Log(Box::new(error))
    }
}

impl From<verbatim_application::ports::LogError> for ProjectionError {
    fn from(error: verbatim_application::ports::LogError) -> Self {
        Self::Log(Box::new(error))
    }
}

impl From<verbatim_application::codec::DecodeError> for ProjectionError {
    fn from(error: verbatim_application::codec::DecodeError) -> Self {
        Self::Log(Box::new(error))
    }
}
