//! What a session asks of the I/O side.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::subscriptions::{AckMode, SubscriptionKey};
use super::violation::ProtocolError;
use crate::stomp::frame::Version;
use crate::stomp::negotiate::HeartBeat;

/// What one frame asks for. Where there is a `receipt`, a `RECEIPT` with that id is sent once the action is carried
/// out, and an `ERROR` with it as `receipt-id` if it cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Authenticate; then [`Session::accept`](super::Session::accept) and `CONNECTED`, or `ERROR` and close.
    Connect(ConnectRequest),
    /// Start delivering, if the member may. The subscription is already entered; on refusal the specification wants
    /// `ERROR` and close (1.2, SUBSCRIBE), or call [`Session::end_subscription`](super::Session::end_subscription).
    Subscribe(Subscribe),
    /// Stop delivering.
    Unsubscribe(Unsubscribe),
    /// Publish.
    Send(Send),
    /// Publish all, in order, as one.
    Commit(Commit),
    /// A client acknowledged or refused messages: a full window may have room again.
    Settled(Settled),
    /// Nothing but the receipt, if one is asked for.
    Done {
        /// Value of the `receipt` header.
        receipt: Option<String>,
    },
    /// Send the receipt after everything before it is processed, then close (1.2, DISCONNECT).
    Disconnect {
        /// Value of the `receipt` header.
        receipt: Option<String>,
    },
    /// Send the `ERROR`, then close (1.2, ERROR).
    Error(ProtocolError),
}

/// A bearer token. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    pub(super) fn new(token: &str) -> Self {
        Self(token.to_owned())
    }

    /// The token itself; not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(hidden)")
    }
}

/// `CONNECT` or `STOMP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The version agreed on: give it to the decoder before it reads on.
    pub version: Version,
    /// From `Authorization: Bearer TOKEN`, else `passcode`; `None` if neither is there.
    pub token: Option<BearerToken>,
    /// The `login` header; only informative, the token says who it is.
    pub login: Option<String>,
    /// The `host` header. Required since 1.1, but webstomp-client sends none, so it may be missing.
    pub host: Option<String>,
    /// The heart-beats agreed on; [`HeartBeat::NONE`] in 1.0.
    pub heart_beat: HeartBeat,
}

/// `SUBSCRIBE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Its identity in this session.
    pub key: SubscriptionKey,
    /// What to listen to.
    pub destination: Arc<str>,
    /// How the client acknowledges.
    pub ack: AckMode,
    /// Header `after-seq`: first what came after this message number.
    pub after_seq: Option<u64>,
    /// Value of the `receipt` header.
    pub receipt: Option<String>,
}

/// `UNSUBSCRIBE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The subscription, now forgotten.
    pub key: SubscriptionKey,
    /// What it listened to.
    pub destination: Arc<str>,
    /// Value of the `receipt` header.
    pub receipt: Option<String>,
}

/// `SEND`, outside of a transaction or released by its `COMMIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Where to.
    pub destination: String,
    /// What; any octets.
    pub body: Bytes,
    /// MIME type of the body, as sent.
    pub content_type: Option<String>,
    /// Header `idempotency-key`, not checked.
    pub idempotency_key: Option<String>,
    /// Value of the `receipt` header. The receipt promises durability, so a `SEND` in a transaction gets it after
    /// the `COMMIT`, and none after an `ABORT`.
    pub receipt: Option<String>,
    /// All headers that STOMP and this server give no meaning, in order.
    pub user_headers: Vec<(String, String)>,
}

/// `COMMIT`: the frames of its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The `SEND`s in the order sent, each with a receipt of its own.
    pub sends: Vec<Send>,
    /// What the transaction's `ACK`s and `NACK`s settled, in order.
    pub settled: Vec<Settlement>,
    /// Value of the `COMMIT`'s own `receipt` header: to be sent after those of the `SEND`s.
    pub receipt: Option<String>,
}

/// `ACK` or `NACK` outside of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What it settled.
    pub settlement: Settlement,
    /// Value of the `receipt` header.
    pub receipt: Option<String>,
}

/// Messages that wait no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The subscription whose window has room again.
    pub key: SubscriptionKey,
    /// `true` for `ACK`, `false` for `NACK`.
    pub acknowledged: bool,
    /// How many messages: one, or all up to the named one in ack mode `client`.
    pub messages: usize,
}
