//! What a STOMP frame is made of: version, command, headers, body.

use std::fmt;

use bytes::Bytes;

use super::headers::Headers;

/// A protocol version, ordered from old to new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escaping, no heart-beats, no NACK; subscription ids are optional.
    V1_0,
    /// STOMP 1.1.
    V1_1,
    /// STOMP 1.2.
    V1_2,
}

impl Version {
    /// Every supported version, oldest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// The value of the `version` header: `1.2`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The WebSocket subprotocol name: `v12.stomp`.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A frame's command. Names are case-sensitive (1.2, STOMP Frames).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Opens a session.
    Connect,
    /// Opens a session, as `CONNECT` does, but cannot be mistaken for HTTP.
    Stomp,
    /// Publishes a message.
    Send,
    /// Starts listening to a destination.
    Subscribe,
    /// Stops listening.
    Unsubscribe,
    /// Opens a transaction.
    Begin,
    /// Carries a transaction out.
    Commit,
    /// Drops a transaction.
    Abort,
    /// Acknowledges a message.
    Ack,
    /// Refuses a message (1.1 and later).
    Nack,
    /// Ends the session in order.
    Disconnect,
    /// Server: the session is open.
    Connected,
    /// Server: a message of a subscription.
    Message,
    /// Server: a frame that asked for a receipt has been processed.
    Receipt,
    /// Server: something went wrong.
    Error,
}

impl Command {
    /// Octets in the longest command, `UNSUBSCRIBE`.
    pub const MAX_LEN: usize = 11;

    /// The command of exactly this name.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"CONNECT" => Self::Connect,
            b"STOMP" => Self::Stomp,
            b"SEND" => Self::Send,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ABORT" => Self::Abort,
            b"ACK" => Self::Ack,
            b"NACK" => Self::Nack,
            b"DISCONNECT" => Self::Disconnect,
            b"CONNECTED" => Self::Connected,
            b"MESSAGE" => Self::Message,
            b"RECEIPT" => Self::Receipt,
            b"ERROR" => Self::Error,
            _ => return None,
        })
    }

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Disconnect => "DISCONNECT",
            Self::Connected => "CONNECTED",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    /// Whether clients, not servers, send it (1.2, Augmented BNF: client-command).
    #[must_use]
    pub const fn is_client(self) -> bool {
        !matches!(self, Self::Connected | Self::Message | Self::Receipt | Self::Error)
    }

    /// Whether it may carry a body (1.2, Body).
    #[must_use]
    pub const fn may_have_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether its headers are escaped where the version knows escapes. `CONNECT` and `CONNECTED` never are
    /// (1.2, Value Encoding), and `STOMP` is handled in the same manner as `CONNECT`.
    #[must_use]
    pub const fn escapes_headers(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One frame, headers unescaped, body as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is.
    pub command: Command,
    /// Its headers in the order sent.
    pub headers: Headers,
    /// Its body, empty if there is none.
    pub body: Bytes,
}

impl Frame {
    /// A frame without headers and body.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self { command, headers: Headers::default(), body: Bytes::new() }
    }

    /// The same frame with one more header at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same frame with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_and_named() {
        assert!(Version::V1_0 < Version::V1_1 && Version::V1_1 < Version::V1_2);
        assert_eq!(Version::ALL.map(Version::subprotocol), ["v10.stomp", "v11.stomp", "v12.stomp"]);
    }

    /// 1.2, STOMP Frames: "All commands and header names referenced in this document are case sensitive."
    #[test]
    fn commands_are_case_sensitive() {
        assert_eq!(Command::parse(b"SEND"), Some(Command::Send));
        assert_eq!(Command::parse(b"send"), None);
        assert_eq!(Command::parse(b"SEND "), None);
        assert_eq!(Command::parse(b""), None);
    }

    #[test]
    fn each_command_parses_back_from_its_name() {
        use Command::*;
        for command in [
            Connect,
            Stomp,
            Send,
            Subscribe,
            Unsubscribe,
            Begin,
            Commit,
            Abort,
            Ack,
            Nack,
            Disconnect,
            Connected,
            Message,
            Receipt,
            Error,
        ] {
            assert_eq!(Command::parse(command.as_str().as_bytes()), Some(command));
            assert!(command.as_str().len() <= Command::MAX_LEN);
        }
    }
}
