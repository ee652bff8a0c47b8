//! What a client can do wrong, and the `ERROR` that tells it.

use crate::stomp::decode_error::DecodeError;
use crate::stomp::frame::{Command, Version};
use crate::stomp::negotiate::SUPPORTED_VERSIONS;

/// A violation of the protocol: the server sends an `ERROR` and then closes the connection (1.2, ERROR). The text of
/// `Display` is for the client's author; it repeats no credential and no message body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The octets are not STOMP.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A frame before `CONNECT`.
    #[error("{command} came before CONNECT; a session opens with CONNECT or STOMP")]
    NotConnected {
        /// The frame that came.
        command: Command,
    },
    /// A frame while the server still checks the `CONNECT`; the I/O side holds frames back, so a bug there.
    #[error("{command} came before the server answered CONNECT")]
    ConnectPending {
        /// The frame that came.
        command: Command,
    },
    /// A second `CONNECT`.
    #[error("the session is open already; CONNECT may come only once")]
    AlreadyConnected,
    /// A server command from a client.
    #[error("{command} is a server frame; clients cannot send it")]
    NotAClientCommand {
        /// The frame that came.
        command: Command,
    },
    /// A command that the agreed version does not have.
    #[error("STOMP {version} has no {command}")]
    NotInVersion {
        /// The frame that came.
        command: Command,
        /// The agreed version.
        version: Version,
    },
    /// No common version (1.2, Protocol Negotiation).
    #[error("Supported protocol versions are 1.0 1.1 1.2")]
    UnsupportedVersion,
    /// A `heart-beat` that is not two numbers.
    #[error("heart-beat must be two numbers of milliseconds separated by a comma, each below 2^32")]
    BadHeartBeat,
    /// A required header is missing or empty.
    #[error("{command} needs a non-empty {header} header")]
    MissingHeader {
        /// The frame that came.
        command: Command,
        /// The header that it needs.
        header: &'static str,
    },
    /// An id or destination too long to keep for the length of a session.
    #[error("the {header} header of {command} is longer than {max} octets")]
    HeaderTooLong {
        /// The frame that came.
        command: Command,
        /// The header.
        header: &'static str,
        /// The limit in octets.
        max: usize,
    },
    /// A body where none is allowed (1.2, Body).
    #[error("{command} must not have a body; only SEND may")]
    UnexpectedBody {
        /// The frame that came.
        command: Command,
    },
    /// An `ack` mode that the version does not have.
    #[error("ack must be auto, client or, from STOMP 1.1 on, client-individual")]
    BadAckMode,
    /// An `after-seq` that is not a number.
    #[error("after-seq must be a decimal number, the seq of the last message already seen")]
    BadAfterSeq,
    /// The id (or in 1.0 the destination) is in use.
    #[error("the subscription {id:?} exists already; each needs an id of its own")]
    DuplicateSubscription {
        /// The id, or the destination if there is no id.
        id: String,
    },
    /// `UNSUBSCRIBE` of what is not subscribed.
    #[error("there is no subscription {id:?}")]
    UnknownSubscription {
        /// The id, or the destination if there is no id.
        id: String,
    },
    /// Too many subscriptions at once.
    #[error("a session can have at most {max} subscriptions")]
    TooManySubscriptions {
        /// The limit.
        max: usize,
    },
    /// `BEGIN` with an id that is in use.
    #[error("the transaction {id:?} is open already")]
    DuplicateTransaction {
        /// The id.
        id: String,
    },
    /// A transaction that was not begun, or has ended.
    #[error("there is no open transaction {id:?}")]
    UnknownTransaction {
        /// The id.
        id: String,
    },
    /// Too many transactions at once.
    #[error("a session can have at most {max} open transactions")]
    TooManyTransactions {
        /// The limit.
        max: usize,
    },
    /// Too many frames wait for a `COMMIT`.
    #[error("the open transactions of a session can hold at most {max} frames")]
    TooManyBufferedFrames {
        /// The limit.
        max: usize,
    },
    /// Too many octets wait for a `COMMIT`.
    #[error("the open transactions of a session can hold at most {max} octets")]
    TooManyBufferedOctets {
        /// The limit in octets.
        max: usize,
    },
    /// `ACK` or `NACK` of a message that does not wait for one.
    #[error("{command} names a message that does not wait for acknowledgment")]
    UnknownAck {
        /// `ACK` or `NACK`.
        command: Command,
    },
}

impl Violation {
    /// The `message` header of the `ERROR`: short, and free of characters that need escaping.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.summary(),
            Self::NotConnected { .. } | Self::ConnectPending { .. } => "not connected",
            Self::AlreadyConnected => "already connected",
            Self::NotAClientCommand { .. } | Self::NotInVersion { .. } => "command not allowed",
            Self::UnsupportedVersion => "no common protocol version",
            Self::BadHeartBeat | Self::BadAckMode | Self::BadAfterSeq => "invalid header",
            Self::MissingHeader { .. } => "missing header",
            Self::HeaderTooLong { .. } => "header too long",
            Self::UnexpectedBody { .. } => "body not allowed",
            Self::DuplicateSubscription { .. } => "subscription exists already",
            Self::UnknownSubscription { .. } => "no such subscription",
            Self::TooManySubscriptions { .. } => "too many subscriptions",
            Self::DuplicateTransaction { .. } => "transaction is open already",
            Self::UnknownTransaction { .. } => "no such transaction",
            Self::TooManyTransactions { .. } => "too many transactions",
            Self::TooManyBufferedFrames { .. } | Self::TooManyBufferedOctets { .. } => {
                "transaction too large"
            }
            Self::UnknownAck { .. } => "no such message to acknowledge",
        }
    }

    /// Whether a limit of this server was exceeded, as opposed to a rule of the protocol.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        match self {
            Self::Decode(error) => error.is_limit(),
            Self::HeaderTooLong { .. }
            | Self::TooManySubscriptions { .. }
            | Self::TooManyTransactions { .. }
            | Self::TooManyBufferedFrames { .. }
            | Self::TooManyBufferedOctets { .. } => true,
            _ => false,
        }
    }

    /// Further headers of the `ERROR`: the supported versions where there is none in common (1.2, Protocol
    /// Negotiation).
    #[must_use]
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::UnsupportedVersion => &[("version", SUPPORTED_VERSIONS)],
            _ => &[],
        }
    }
}

/// A [`Violation`] and the frame it is about. Always fatal: after the `ERROR` the connection closes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{violation}")]
pub struct ProtocolError {
    /// What is wrong.
    #[source]
    pub violation: Violation,
    /// The `receipt` header of the frame at fault, for the `receipt-id` of the `ERROR` (1.2, ERROR).
    pub receipt_id: Option<String>,
}
