//! `MESSAGE` frames, built so that a message to a thousand subscribers is escaped and copied once.

use super::encoder::{push_decimal, push_header};
use super::escape::Escapes;
use super::frame::{Command, Version};
use super::session::AckId;

/// What all subscribers of a destination receive of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The destination subscribed to.
    pub destination: &'a str,
    /// Unique among all messages: an edit of a message is a message of its own (1.2, MESSAGE).
    pub message_id: &'a str,
    /// The MIME type of the body, if it is known.
    pub content_type: Option<&'a str>,
    /// Further headers, such as `seq` and `type`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; any octets.
    pub body: &'a [u8],
}

/// A message encoded for one protocol version, all but the headers that differ between subscribers. Header order has
/// no meaning in STOMP, so those come first and the shared rest is one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTemplate {
    version: Version,
    /// From the `destination` line to the final NUL.
    shared: Vec<u8>,
}

impl MessageTemplate {
    /// Encodes what does not depend on the subscriber.
    #[must_use]
    pub fn new(version: Version, message: &Message<'_>) -> Self {
        let rules = Escapes::of(version, Command::Message);
        let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let fixed = message.destination.len() + message.message_id.len() + message.body.len();
        // 96: the names of the four headers below, their line ends, the digits of the length; a guess that saves a
        // reallocation, not a limit.
        let mut out = Vec::with_capacity(96 + headers + fixed + message.content_type.map_or(0, str::len));
        push_header(rules, "destination", message.destination, &mut out);
        push_header(rules, "message-id", message.message_id, &mut out);
        for (name, value) in message.headers {
            push_header(rules, name, value, &mut out);
        }
        if let Some(content_type) = message.content_type {
            push_header(rules, "content-type", content_type, &mut out);
        }
        out.extend_from_slice(b"content-length:");
        push_decimal(message.body.len() as u64, &mut out);
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(message.body);
        out.push(0);
        Self { version, shared: out }
    }

    /// The version this is encoded for.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Octets of the shared part.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Never: there is always a destination and a final NUL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty()
    }

    /// Appends the frame for one subscription. `subscription` is the client's id for it (`None` only in 1.0, for a
    /// subscription made without); `ack` is what [`Session::register_delivery`](super::Session::register_delivery)
    /// returned. The same arguments give the same octets, so subscribers in ack mode `auto` share them.
    pub fn write(&self, subscription: Option<&str>, ack: Option<AckId>, out: &mut Vec<u8>) {
        let rules = Escapes::of(self.version, Command::Message);
        out.reserve(self.shared.len() + 64 + subscription.map_or(0, str::len));
        out.extend_from_slice(b"MESSAGE\n");
        if let Some(id) = subscription {
            push_header(rules, "subscription", id, out);
        }
        if let Some(ack) = ack {
            out.extend_from_slice(b"ack:");
            ack.append_to(out);
            out.push(b'\n');
        }
        out.extend_from_slice(&self.shared);
    }

    /// [`write`](Self::write) into a buffer of its own.
    #[must_use]
    pub fn frame(&self, subscription: Option<&str>, ack: Option<AckId>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(subscription, ack, &mut out);
        out
    }
}
