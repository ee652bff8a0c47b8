//! Why a stream of octets is not STOMP, in words that a client's author can act on.

/// A violation of the frame format or of a limit. Each is fatal: where the next frame starts is unknown, so the
/// server sends an `ERROR` and closes (1.2, Size Limits and Value Encoding).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first line of a frame is no command that this side accepts.
    #[error(
        "a frame starts with {found:?}, which is not a command that may be sent here (commands are upper case)"
    )]
    UnknownCommand {
        /// What came instead, shortened.
        found: String,
    },
    /// A carriage return where only a line end may stand.
    #[error("a carriage return is not followed by a line feed; inside a header, STOMP 1.2 writes it as \\r")]
    StrayCarriageReturn,
    /// A header line without a colon.
    #[error(
        "header line {number} has no colon; the blank line after headers must be empty, and only STOMP 1.2 ends lines with CRLF"
    )]
    HeaderWithoutColon {
        /// Which line, counted from 1. Its text is not repeated: it may be the rest of a broken credential.
        number: usize,
    },
    /// A header line that starts with the colon.
    #[error("a header line starts with its colon, so it has no name")]
    EmptyHeaderName,
    /// Headers are UTF-8 (1.2, Value Encoding).
    #[error("a header line is not valid UTF-8")]
    HeaderNotUtf8,
    /// An escape that the version does not define (1.2, Value Encoding).
    #[error(
        "the header {name:?} has an undefined escape; STOMP 1.1 defines \\n \\c \\\\ and STOMP 1.2 also \\r"
    )]
    UndefinedEscape {
        /// The header's name as sent, shortened.
        name: String,
    },
    /// NUL inside the headers: the blank line is missing.
    #[error("a NUL octet ended the frame before the blank line that ends its headers")]
    NulInHeaders,
    /// `content-length` is not a decimal number.
    #[error("content-length is {value:?}, not a decimal number of octets")]
    BadContentLength {
        /// The value, shortened.
        value: String,
    },
    /// The frame does not end where `content-length` says.
    #[error(
        "the octet after {content_length} octets of body is not NUL; content-length counts octets of UTF-8, not characters"
    )]
    BodyNotTerminated {
        /// What the frame announced, in octets.
        content_length: usize,
    },
    /// More header entries than [`Limits::headers`](super::Limits::headers).
    #[error("a frame has more than {max} headers")]
    TooManyHeaders {
        /// The limit.
        max: usize,
    },
    /// A header line above [`Limits::header_line`](super::Limits::header_line).
    #[error("a header line is longer than {max} octets")]
    HeaderLineTooLong {
        /// The limit in octets.
        max: usize,
    },
    /// Command and headers above [`Limits::head`](super::Limits::head).
    #[error("command and headers of a frame are longer than {max} octets")]
    HeadTooLong {
        /// The limit in octets.
        max: usize,
    },
    /// A body above [`Limits::body`](super::Limits::body), announced or counted.
    #[error("the body of a frame is longer than {max} octets")]
    BodyTooLong {
        /// The limit in octets.
        max: usize,
    },
}

impl DecodeError {
    /// The `message` header of an `ERROR` frame: short, without any character that needs escaping, because some
    /// clients never unescape.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        match self {
            Self::UnknownCommand { .. } => "unknown command",
            Self::StrayCarriageReturn
            | Self::HeaderWithoutColon { .. }
            | Self::EmptyHeaderName
            | Self::HeaderNotUtf8
            | Self::NulInHeaders => "malformed frame",
            Self::UndefinedEscape { .. } => "undefined escape in a header",
            Self::BadContentLength { .. } | Self::BodyNotTerminated { .. } => "wrong content-length",
            Self::TooManyHeaders { .. } => "too many headers",
            Self::HeaderLineTooLong { .. } | Self::HeadTooLong { .. } => "headers too long",
            Self::BodyTooLong { .. } => "body too long",
        }
    }

    /// Whether a size limit was exceeded, as opposed to a malformed frame.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooManyHeaders { .. }
                | Self::HeaderLineTooLong { .. }
                | Self::HeadTooLong { .. }
                | Self::BodyTooLong { .. }
        )
    }
}

/// Characters of a client's input that an error repeats: enough to recognize, too few to leak a message or flood a log.
const EXCERPT_CHARS: usize = 24;

/// The start of `octets` for use in an error text.
pub(super) fn excerpt(octets: &[u8]) -> String {
    // No character is longer than four octets.
    let end = octets.len().min(EXCERPT_CHARS * 4);
    String::from_utf8_lossy(octets.get(..end).unwrap_or_default()).chars().take(EXCERPT_CHARS).collect()
}
