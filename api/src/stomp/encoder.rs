//! Server frames (and, for tests and clients, any frame) as octets, escaped as the version asks.
//!
//! Everything is appended to the caller's buffer, header by header, without formatting machinery in between. What is
//! appended is valid UTF-8 if the body is; other bodies need a binary WebSocket message. `MESSAGE` frames are built
//! by [`MessageTemplate`](super::MessageTemplate).

use super::escape::{Escapes, Part};
use super::frame::{Command, Frame, Version};
use super::negotiate::HeartBeat;

/// What is sent when there is nothing else to send (1.2, Heart-beating): one line feed, in a WebSocket message of its
/// own, because webstomp-client recognizes it only so.
pub const HEART_BEAT: &str = "\n";

/// The answer to a `CONNECT` that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected<'a> {
    /// The version agreed on.
    pub version: Version,
    /// An id of this session, for logs on both sides.
    pub session: &'a str,
    /// `name/version` of the server.
    pub server: &'a str,
    /// What was negotiated; announced from 1.1 on.
    pub heart_beat: HeartBeat,
}

/// An `ERROR` frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorFrame<'a> {
    /// A short description; some clients show it as it comes on the wire, so better without colons.
    pub message: &'a str,
    /// The `receipt` header of the frame that caused the error, if it had one (1.2, ERROR).
    pub receipt_id: Option<&'a str>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// MIME type of the body.
    pub content_type: &'a str,
    /// Details.
    pub body: &'a [u8],
}

/// Appends a `CONNECTED` frame. Its headers are never escaped (1.2, Value Encoding).
pub fn connected(connected: &Connected<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"CONNECTED\nversion:");
    out.extend_from_slice(connected.version.as_str().as_bytes());
    out.push(b'\n');
    if connected.version >= Version::V1_1 {
        out.extend_from_slice(b"heart-beat:");
        push_decimal(u64::from(connected.heart_beat.announce.send_ms), out);
        out.push(b',');
        push_decimal(u64::from(connected.heart_beat.announce.want_ms), out);
        out.push(b'\n');
    }
    push_header(Escapes::None, "session", connected.session, out);
    push_header(Escapes::None, "server", connected.server, out);
    out.extend_from_slice(b"\n\0");
}

/// Appends a `RECEIPT` frame: `receipt_id` is the value of the client's `receipt` header; `headers` are further ones,
/// such as `message-id` and `seq` of what a `SEND` stored.
pub fn receipt(version: Version, receipt_id: &str, headers: &[(&str, &str)], out: &mut Vec<u8>) {
    let rules = Escapes::of(version, Command::Receipt);
    out.extend_from_slice(b"RECEIPT\n");
    push_header(rules, "receipt-id", receipt_id, out);
    for (name, value) in headers {
        push_header(rules, name, value, out);
    }
    out.extend_from_slice(b"\n\0");
}

/// Appends an `ERROR` frame. It does not close anything: who sends it decides that (1.1 and 1.2 say that the server
/// must close just after it; see [`closes_after_error`]).
pub fn error(version: Version, error: &ErrorFrame<'_>, out: &mut Vec<u8>) {
    let rules = Escapes::of(version, Command::Error);
    out.reserve(128 + error.body.len());
    out.extend_from_slice(b"ERROR\n");
    push_header(rules, "message", error.message, out);
    if let Some(receipt_id) = error.receipt_id {
        push_header(rules, "receipt-id", receipt_id, out);
    }
    for (name, value) in error.headers {
        push_header(rules, name, value, out);
    }
    if !error.body.is_empty() {
        push_header(rules, "content-type", error.content_type, out);
        out.extend_from_slice(b"content-length:");
        push_decimal(error.body.len() as u64, out);
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(error.body);
    out.push(0);
}

/// Whether the specification demands that the connection closes after an `ERROR` about a `SEND` that the server cannot
/// process: "the server MUST send the client an ERROR frame and then close the connection" (1.1 and 1.2, SEND); 1.0
/// says nothing.
#[must_use]
pub const fn closes_after_error(version: Version) -> bool {
    !matches!(version, Version::V1_0)
}

/// Appends any frame; `content-length` is added if there is a body and the frame does not say.
pub fn frame(version: Version, frame: &Frame, out: &mut Vec<u8>) {
    let rules = Escapes::of(version, frame.command);
    out.reserve(64 + frame.headers.octets() + frame.body.len());
    out.extend_from_slice(frame.command.as_str().as_bytes());
    out.push(b'\n');
    for (name, value) in frame.headers.iter() {
        push_header(rules, name, value, out);
    }
    if !frame.body.is_empty() && frame.header("content-length").is_none() {
        out.extend_from_slice(b"content-length:");
        push_decimal(frame.body.len() as u64, out);
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(&frame.body);
    out.push(0);
}

/// Appends `name:value` and a line feed.
pub(super) fn push_header(rules: Escapes, name: &str, value: &str, out: &mut Vec<u8>) {
    rules.escape_into(name, Part::Name, out);
    out.push(b':');
    rules.escape_into(value, Part::Value, out);
    out.push(b'\n');
}

/// Appends `number` in decimal digits.
pub(super) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        // The remainder is below ten, so the sum is an ASCII digit.
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stomp::negotiate::HeartBeatPolicy;
    use crate::stomp::{Message, MessageTemplate};

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// 1.2, CONNECTED Frame; heart-beats exist since 1.1.
    #[test]
    fn connected_says_version_and_heart_beat() {
        let policy = HeartBeatPolicy { send_ms: 10_000, want_ms: 5_000 };
        let heart_beat = HeartBeat::negotiate(policy, policy);
        let mut frame =
            Connected { version: Version::V1_2, session: "s\\1", server: "verbatim/0.1", heart_beat };
        let v1_2 = text(|out| connected(&frame, out));
        assert_eq!(
            v1_2,
            "CONNECTED\nversion:1.2\nheart-beat:10000,5000\nsession:s\\1\nserver:verbatim/0.1\n\n\0"
        );
        frame.version = Version::V1_0;
        assert!(!text(|out| connected(&frame, out)).contains("heart-beat"));
    }

    /// 1.2, RECEIPT: the value of the receipt header, escaped as any header.
    #[test]
    fn receipt_repeats_the_id() {
        let frame = |version| text(|out| receipt(version, "a:b\n", &[("seq", "7")], out));
        assert_eq!(frame(Version::V1_2), "RECEIPT\nreceipt-id:a\\cb\\n\nseq:7\n\n\0");
        assert_eq!(frame(Version::V1_0), "RECEIPT\nreceipt-id:a:b \nseq:7\n\n\0", "1.0 cannot say LF");
    }

    /// 1.2, ERROR: message, receipt-id, content-type and content-length.
    #[test]
    fn error_refers_to_the_frame_at_fault() {
        let mut frame = ErrorFrame {
            message: "rejected",
            receipt_id: Some("77"),
            headers: &[("version", "1.2")],
            content_type: "application/problem+json",
            body: b"{\0}",
        };
        assert_eq!(
            text(|out| error(Version::V1_2, &frame, out)),
            "ERROR\nmessage:rejected\nreceipt-id:77\nversion:1.2\ncontent-type:application/problem+json\n\
             content-length:3\n\n{\0}\0"
        );
        frame.body = b"";
        frame.receipt_id = None;
        assert_eq!(
            text(|out| error(Version::V1_1, &frame, out)),
            "ERROR\nmessage:rejected\nversion:1.2\n\n\0"
        );
    }

    #[test]
    fn only_1_0_lets_a_connection_outlive_an_error() {
        assert_eq!(Version::ALL.map(closes_after_error), [false, true, true]);
    }

    /// 1.2, MESSAGE: subscription, message-id, destination, ack; content-length always, for a body may hold NUL.
    #[test]
    fn message_shares_all_but_subscription_and_ack() {
        let message = Message {
            destination: "/topic/r",
            message_id: "m:1",
            content_type: Some("application/json"),
            headers: &[("seq", "1")],
            body: b"{}",
        };
        let template = MessageTemplate::new(Version::V1_2, &message);
        let shared = "destination:/topic/r\nmessage-id:m\\c1\nseq:1\ncontent-type:application/json\n\
                      content-length:2\n\n{}\0";
        let frame = |subscription| String::from_utf8(template.frame(subscription, None)).unwrap();
        assert_eq!(frame(Some("sub-0")), format!("MESSAGE\nsubscription:sub-0\n{shared}"));
        assert_eq!(frame(None), format!("MESSAGE\n{shared}"));
    }

    #[test]
    fn decimals_are_decimals() {
        for number in [0, 7, 10, 99, 1_234_567_890, u64::MAX] {
            assert_eq!(text(|out| push_decimal(number, out)), number.to_string());
        }
    }
}
