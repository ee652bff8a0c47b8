//! What can go wrong in a generator, apart from what it is looking for.

use std::time::Duration;

/// A failure of the generator or of its conversation with the server. Violations of a guarantee are not errors:
/// they are results, see [`crate::oracle::Violation`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused; `what` names the file, process or socket.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The WebSocket could not be opened, or broke.
    #[error("websocket: {0}")]
    WebSocket(Box<tokio_tungstenite::tungstenite::Error>),
    /// The HTTP exchange broke before an answer was complete.
    #[error("http: {0}")]
    Http(#[from] reqwest::Error),
    /// The server answered something that its interface does not allow.
    #[error("protocol: {0}")]
    Protocol(String),
    /// Nothing came within the time limit.
    #[error("nothing within {limit:?}: {what}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// The limit that passed.
        limit: Duration,
    },
    /// The server refused a call that the generator cannot go on without.
    #[error("refused: {0}")]
    Refused(String),
    /// The surroundings are not as needed (missing binary, bad flag, failed command).
    #[error("{0}")]
    Setup(String),
}

impl Error {
    /// Names what was attempted when the operating system refused it.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Says what was awaited in vain.
    pub fn timeout(what: impl Into<String>, limit: Duration) -> Self {
        Self::Timeout { what: what.into(), limit }
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}
