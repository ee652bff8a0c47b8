//! What a failure is called in the log, so that what lasts is told once.

use super::failure::Failure;
use crate::{ProjectionError, feed::FeedError};
use verbatim_application::{error::causes, ports::LogError};

/// What does not work. A server that is away fails in many ways: refused, hung up, no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Redis,
    /// Where the log is, and where it is decided who leads.
    EventStore,
    Other(String),
}

impl Trouble {
    pub(super) fn of(error: &ProjectionError) -> Self {
        match error {
            ProjectionError::Redis(why)
                if why.downcast_ref::<Failure>().is_some_and(Failure::is_of_connection) =>
            {
                Self::Redis
            }
            ProjectionError::Log(why)
                if why.is::<LogError>() || matches!(why.downcast_ref(), Some(FeedError::Log(_))) =>
            {
                Self::EventStore
            }
            other => Self::Other(causes(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, time::Duration};

    #[test]
    fn one_outage_has_one_name_however_it_shows() {
        let lost = || redis::RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        for failure in [Failure::Slow(Duration::from_secs(1)), Failure::Redis(lost())] {
            assert_eq!(Trouble::of(&failure.into()), Trouble::Redis);
        }
        let unread = || LogError("refused".into());
        for error in
            [ProjectionError::from(unread()), Failure::Log(unread()).into(), FeedError::Log(unread()).into()]
        {
            assert_eq!(Trouble::of(&error), Trouble::EventStore);
        }
        // What does not pass by itself is told apart.
        let gap = |found| Trouble::of(&FeedError::Gap { expected: 1, found }.into());
        assert!(matches!(gap(3), Trouble::Other(_)) && gap(3) == gap(3) && gap(3) != gap(4));
        assert!(matches!(Trouble::of(&Failure::Foreign.into()), Trouble::Other(_)));
    }
}
