//! The protocol state of one connection: frames in, actions out.
//!
//! Who may do what, publishing, and timers belong to the I/O side. What is here is what the specification says of
//! any server: the order of frames, required headers, subscriptions, acknowledgments, transactions, receipts.
//! Memory is bounded by the named limits of this module, whatever the client sends.

pub mod action;
mod connect;
mod handlers;
pub mod subscriptions;
#[cfg(test)]
mod tests;
pub mod transactions;
pub mod violation;

pub use action::{
    Action, BearerToken, Commit, ConnectRequest, Send, Settled, Settlement, Subscribe, Unsubscribe,
};
pub use handlers::{MAX_DESTINATION, MAX_ID};
pub use subscriptions::{AckId, AckMode, Delivery, Subscription, SubscriptionKey};
pub use violation::{ProtocolError, Violation};

use self::subscriptions::Subscriptions;
use self::transactions::Transactions;
use super::decode_error::DecodeError;
use super::frame::{Frame, Version};
use super::negotiate::HeartBeatPolicy;

/// The state machine of one connection.
#[derive(Debug)]
pub struct Session {
    state: State,
    version: Version,
    heart_beat: HeartBeatPolicy,
    subscriptions: Subscriptions,
    transactions: Transactions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before `CONNECT`.
    New,
    /// `CONNECT` came; the I/O side decides.
    Connecting,
    Connected,
    /// After `DISCONNECT` or an error: nothing that comes matters.
    Closed,
}

impl Session {
    /// A session before `CONNECT`; `heart_beat` is what this server can send and wants to receive.
    #[must_use]
    pub fn new(heart_beat: HeartBeatPolicy) -> Self {
        Self {
            state: State::New,
            version: Version::V1_0,
            heart_beat,
            subscriptions: Subscriptions::default(),
            transactions: Transactions::default(),
        }
    }

    /// Takes one frame in the order received. After [`Action::Connect`], hand in nothing before
    /// [`accept`](Self::accept).
    pub fn handle(&mut self, mut frame: Frame) -> Action {
        if self.state == State::Closed {
            // "Clients MUST NOT send any more frames after the DISCONNECT frame is sent." (1.2, DISCONNECT)
            return Action::Done { receipt: None };
        }
        match self.dispatch(&mut frame) {
            Ok(action) => action,
            Err(violation) => {
                self.close();
                Action::Error(ProtocolError { violation, receipt_id: handlers::receipt(&frame) })
            }
        }
    }

    /// Turns a decoder's failure into the error to send, and closes the session. `receipt` comes from
    /// [`Decoder::pending_receipt`](super::Decoder::pending_receipt).
    pub fn fail(&mut self, error: DecodeError, receipt: Option<&str>) -> ProtocolError {
        self.close();
        ProtocolError { violation: error.into(), receipt_id: receipt.map(str::to_owned) }
    }

    /// The `CONNECT` is granted: frames may come. Does nothing in any other state.
    pub fn accept(&mut self) {
        if self.state == State::Connecting {
            self.state = State::Connected;
        }
    }

    /// Ends the session and frees what it holds; open transactions are aborted (1.2, BEGIN).
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.transactions.clear();
        self.subscriptions.clear();
    }

    /// Whether the session has ended, by `DISCONNECT`, an error or [`close`](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The version to encode frames in: the one agreed on, 1.0 (no escapes) before.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// A subscription of this session.
    #[must_use]
    pub fn subscription(&self, key: &SubscriptionKey) -> Option<&Subscription> {
        self.subscriptions.get(key)
    }

    /// All subscriptions of this session, ended ones included, in no particular order.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&SubscriptionKey, &Subscription)> {
        self.subscriptions.iter()
    }

    /// Whether a message can go to this subscription now. In ack mode `auto` that is always so while it exists.
    #[must_use]
    pub fn can_deliver(&self, key: &SubscriptionKey) -> Delivery {
        self.subscriptions.can_deliver(key)
    }

    /// Enters a message that is about to be sent, and gives the value of its `ack` header: `Some` in 1.2 for the ack
    /// modes `client` and `client-individual`, `None` otherwise (1.0 and 1.1 acknowledge by `message-id`). In ack mode
    /// `auto` there is nothing to enter, and the fan-out path can do without this call.
    ///
    /// # Errors
    /// What [`can_deliver`](Self::can_deliver) says, if it is not [`Delivery::Ready`].
    pub fn register_delivery(
        &mut self,
        key: &SubscriptionKey,
        message_id: &str,
    ) -> Result<Option<AckId>, Delivery> {
        let ack = self.subscriptions.deliver(key, message_id)?;
        Ok(ack.filter(|_| self.version >= Version::V1_2))
    }

    /// Ends a subscription from the server's side, as when a member is removed from a room. Its key stays known until
    /// the client unsubscribes or subscribes anew, so that neither, nor a late `ACK`, is taken for a violation.
    /// `false` if there is no such subscription or it has ended before.
    pub fn end_subscription(&mut self, key: &SubscriptionKey) -> bool {
        self.subscriptions.end(key)
    }

    /// Octets held for open transactions, by the accounting that bounds them.
    #[must_use]
    pub fn buffered_octets(&self) -> usize {
        self.transactions.buffered_octets()
    }
}
