//! What goes wrong with Redis.

use crate::ProjectionError;
use redis::{ErrorKind, ServerErrorKind as Kind};
use std::time::Duration;
use verbatim_application::ports::LogError;

/// Redis did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Its text contains its cause, and never the password.
    #[error("Redis failed: {0}")]
    Redis(redis::RedisError),
    #[error("Redis did not answer within {0:?}")]
    Slow(Duration),
    #[error("Redis answered with {0}, which nothing here expects")]
    Unexpected(String),
    #[error("the counts in Redis are of another event log than this one")]
    Foreign,
    #[error("Redis holds no counts that could be compared: it is being filled")]
    Empty,
    #[error("the event log can't be read")]
    Log(#[source] LogError),
}

impl Failure {
    /// Whether the connection or its server is of no use now, or nobody knows. Redis refusing one command is not that.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Self::Redis(error) => match error.kind() {
                ErrorKind::Server(kind) => matches!(
                    kind,
                    Kind::BusyLoading
                        | Kind::ReadOnly
                        | Kind::MasterDown
                        | Kind::ClusterDown
                        | Kind::TryAgain
                        | Kind::Moved
                        | Kind::Ask
                ),
                kind => !matches!(kind, ErrorKind::Extension | ErrorKind::UnexpectedReturnType),
            },
            Self::Slow(_) => true,
            Self::Unexpected(_) | Self::Foreign | Self::Empty | Self::Log(_) => false,
        }
    }
}

impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<Failure> for ProjectionError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Log(error) => error.into(),
            failure => Self::Redis(Box::new(failure)),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}
