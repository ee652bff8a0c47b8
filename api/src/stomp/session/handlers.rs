//! What each client frame does to a session.

use std::sync::Arc;

use super::action::{Action, Commit, Send, Settled, Settlement, Subscribe, Unsubscribe};
use super::subscriptions::{AckMode, SubscriptionKey};
use super::transactions::Step;
use super::violation::Violation;
use super::{Session, State, connect};
use crate::stomp::frame::{Command, Frame, Version};

/// Octets of a subscription or transaction id.
pub const MAX_ID: usize = 256;
/// Octets of a destination.
pub const MAX_DESTINATION: usize = 256;

/// Headers of `SEND` that have a meaning here; all others are the user's.
const SEND_HEADERS: [&str; 6] =
    ["destination", "content-length", "content-type", "receipt", "transaction", "idempotency-key"];

impl Session {
    pub(super) fn dispatch(&mut self, frame: &mut Frame) -> Result<Action, Violation> {
        let command = frame.command;
        if !command.is_client() {
            return Err(Violation::NotAClientCommand { command });
        }
        let connects = matches!(command, Command::Connect | Command::Stomp);
        match self.state {
            State::New if connects => return self.connect(frame),
            State::New => return Err(Violation::NotConnected { command }),
            State::Connecting => return Err(Violation::ConnectPending { command }),
            State::Connected if connects => return Err(Violation::AlreadyConnected),
            State::Connected | State::Closed => {}
        }
        self.check_body(frame)?;
        match command {
            Command::Send => self.send(frame),
            Command::Subscribe => self.subscribe(frame),
            Command::Unsubscribe => self.unsubscribe(frame),
            Command::Ack | Command::Nack => self.settle(frame),
            Command::Begin => {
                self.transactions.begin(transaction_id(frame)?)?;
                Ok(Action::Done { receipt: receipt(frame) })
            }
            Command::Commit => self.commit(frame),
            Command::Abort => {
                self.transactions.end(transaction_id(frame)?)?;
                Ok(Action::Done { receipt: receipt(frame) })
            }
            Command::Disconnect => {
                self.close();
                Ok(Action::Disconnect { receipt: receipt(frame) })
            }
            _ => Err(Violation::NotAClientCommand { command }),
        }
    }

    fn connect(&mut self, frame: &Frame) -> Result<Action, Violation> {
        let request = connect::read(frame, self.heart_beat)?;
        self.version = request.version;
        self.check_body(frame)?;
        self.state = State::Connecting;
        Ok(Action::Connect(request))
    }

    /// "All other frames MUST NOT have a body" (1.1 and 1.2); 1.0 ignores it. Mere line ends, which hand-written
    /// clients leave there, are let pass.
    fn check_body(&self, frame: &Frame) -> Result<(), Violation> {
        let empty = || frame.body.iter().all(|b| matches!(b, b'\r' | b'\n'));
        if frame.command.may_have_body() || self.version == Version::V1_0 || empty() {
            return Ok(());
        }
        Err(Violation::UnexpectedBody { command: frame.command })
    }

    fn send(&mut self, frame: &mut Frame) -> Result<Action, Violation> {
        let destination = required(frame, "destination", MAX_DESTINATION)?.to_owned();
        let owned = |name| frame.header(name).map(str::to_owned);
        let user = frame.headers.iter().filter(|(name, _)| !SEND_HEADERS.contains(name));
        let send = Send {
            destination,
            content_type: owned("content-type"),
            idempotency_key: owned("idempotency-key"),
            receipt: owned("receipt"),
            user_headers: user.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: std::mem::take(&mut frame.body),
        };
        if frame.header("transaction").is_none() {
            return Ok(Action::Send(send));
        }
        self.transactions.add(transaction_id(frame)?, Step::Send(send))?;
        Ok(Action::Done { receipt: None })
    }

    fn subscribe(&mut self, frame: &Frame) -> Result<Action, Violation> {
        let destination: Arc<str> = required(frame, "destination", MAX_DESTINATION)?.into();
        let key = if self.version == Version::V1_0 && frame.header("id").is_none() {
            SubscriptionKey::Destination(Arc::clone(&destination))
        } else {
            SubscriptionKey::Id(required(frame, "id", MAX_ID)?.into())
        };
        let ack = match frame.header("ack") {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            Some("client-individual") if self.version >= Version::V1_1 => AckMode::ClientIndividual,
            Some(_) => return Err(Violation::BadAckMode),
        };
        let after_seq = frame.header("after-seq").map(parse_seq).transpose()?;
        self.subscriptions.insert(key.clone(), Arc::clone(&destination), ack)?;
        Ok(Action::Subscribe(Subscribe { key, destination, ack, after_seq, receipt: receipt(frame) }))
    }

    fn unsubscribe(&mut self, frame: &Frame) -> Result<Action, Violation> {
        let key = if self.version == Version::V1_0 && frame.header("id").is_none() {
            SubscriptionKey::Destination(required(frame, "destination", MAX_DESTINATION)?.into())
        } else {
            SubscriptionKey::Id(required(frame, "id", MAX_ID)?.into())
        };
        let gone = self
            .subscriptions
            .remove(&key)
            .ok_or_else(|| Violation::UnknownSubscription { id: key.as_str().to_owned() })?;
        Ok(Action::Unsubscribe(Unsubscribe { key, destination: gone.destination, receipt: receipt(frame) }))
    }

    fn settle(&mut self, frame: &Frame) -> Result<Action, Violation> {
        let command = frame.command;
        if command == Command::Nack && self.version == Version::V1_0 {
            return Err(Violation::NotInVersion { command, version: self.version });
        }
        let unknown = Violation::UnknownAck { command };
        let ack = match self.version {
            Version::V1_2 => self.subscriptions.find_ack(required(frame, "id", MAX_ID)?),
            Version::V1_1 => {
                let subscription = required(frame, "subscription", MAX_ID)?;
                self.subscriptions.find_message(Some(subscription), required(frame, "message-id", MAX_ID)?)
            }
            Version::V1_0 => {
                let message_id = required(frame, "message-id", MAX_ID)?;
                self.subscriptions.find_message(frame.header("subscription"), message_id)
            }
        }
        .ok_or_else(|| unknown.clone())?;
        let acknowledged = command == Command::Ack;
        if frame.header("transaction").is_some() {
            self.transactions.add(transaction_id(frame)?, Step::Settle(ack, acknowledged))?;
            return Ok(Action::Done { receipt: receipt(frame) });
        }
        let (key, messages) = self.subscriptions.settle(ack).ok_or(unknown)?;
        let settlement = Settlement { key, acknowledged, messages };
        Ok(Action::Settled(Settled { settlement, receipt: receipt(frame) }))
    }

    fn commit(&mut self, frame: &Frame) -> Result<Action, Violation> {
        let steps = self.transactions.end(transaction_id(frame)?)?;
        let mut commit = Commit { sends: Vec::new(), settled: Vec::new(), receipt: receipt(frame) };
        for step in steps {
            match step {
                Step::Send(send) => commit.sends.push(send),
                Step::Settle(ack, acknowledged) => {
                    let settled = self.subscriptions.settle(ack);
                    commit.settled.extend(settled.map(|(key, messages)| Settlement {
                        key,
                        acknowledged,
                        messages,
                    }));
                }
            }
        }
        Ok(Action::Commit(commit))
    }
}

pub(super) fn receipt(frame: &Frame) -> Option<String> {
    frame.header("receipt").map(str::to_owned)
}

fn transaction_id(frame: &Frame) -> Result<&str, Violation> {
    required(frame, "transaction", MAX_ID)
}

/// A header that must be there, must say something, and must be short enough to keep.
fn required<'f>(frame: &'f Frame, header: &'static str, max: usize) -> Result<&'f str, Violation> {
    let command = frame.command;
    match frame.header(header) {
        None | Some("") => Err(Violation::MissingHeader { command, header }),
        Some(value) if value.len() > max => Err(Violation::HeaderTooLong { command, header, max }),
        Some(value) => Ok(value),
    }
}

fn parse_seq(text: &str) -> Result<u64, Violation> {
    let digits = Some(text).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|d| d.parse().ok()).ok_or(Violation::BadAfterSeq)
}
