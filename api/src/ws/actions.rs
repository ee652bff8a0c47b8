//! What each STOMP frame does.

use super::{
    connection::{Connection, Finished},
    destination::{Source, Target},
};
use crate::{
    realtime::Encoding,
    stomp::{
        Action,
        session::{AckMode, Commit, ConnectRequest, Send, Subscribe, SubscriptionKey},
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use verbatim_application::{
    AppError, Caller, Context, Done, ErrorClass,
    commands::{Outgoing, Sent},
    push::{Change, Push},
};
use verbatim_domain::text::{IdempotencyKey, MessageBody};

/// How long a SEND waits for room in the command bus: its client is simply not read meanwhile.
const QUEUE_LIMIT: Duration = Duration::from_secs(5);
/// A client's typing is passed on at most this often.
const TYPING_EVERY: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageRequest {
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadRequest {
    seq: u64,
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, AppError> {
    serde_json::from_slice(body).map_err(|error| {
        AppError::new(ErrorClass::Invalid, "invalid_body", format!("the body is not right: {error}"))
    })
}

fn message_body(body: &[u8]) -> Result<MessageBody, AppError> {
    MessageBody::parse(&json::<MessageRequest>(body)?.body).map_err(AppError::text("body"))
}

fn key(header: Option<&str>) -> Result<Option<IdempotencyKey>, AppError> {
    header.map(IdempotencyKey::parse).transpose().map_err(AppError::text("idempotency-key"))
}

fn receipts(receipt: Option<String>) -> Finished {
    Finished::Receipts(receipt.into_iter().map(|id| (id, Vec::new())).collect())
}

fn sent(receipt: Option<String>, done: &Done<Sent>) -> Option<(String, Vec<(&'static str, String)>)> {
    let headers =
        vec![("message-id", done.value.message_id.to_string()), ("seq", done.value.seq.to_string())];
    receipt.map(|id| (id, headers))
}

impl Connection {
    pub(super) async fn act(&mut self, action: Action) {
        match action {
            Action::Connect(request) => self.connect(&request),
            Action::Subscribe(subscribe) => {
                if let Err(error) = self.subscribe(&subscribe).await {
                    // Where an ERROR does not end the session (1.0), the subscription at least does.
                    self.protocol.end_subscription(&subscribe.key);
                    self.refuse(&error, subscribe.receipt.as_deref());
                } else {
                    self.receipt(subscribe.receipt);
                }
            }
            Action::Unsubscribe(unsubscribe) => {
                self.slots.close_key(&unsubscribe.key);
                self.receipt(unsubscribe.receipt);
            }
            Action::Send(send) => {
                let receipt = send.receipt.clone();
                if let Err(error) = self.send(send).await {
                    self.refuse(&error, receipt.as_deref());
                }
            }
            Action::Commit(commit) => {
                let receipt = commit.receipt.clone();
                if let Err(error) = self.commit(commit).await {
                    self.refuse(&error, receipt.as_deref());
                }
            }
            Action::Settled(settled) => {
                self.settle(&settled.settlement.key);
                self.receipt(settled.receipt);
            }
            Action::Done { receipt } => self.receipt(receipt),
            Action::Disconnect { receipt } => self.drain(receipt, CloseCode::Normal, "disconnect"),
            Action::Error(error) => self.violated(&error),
        }
    }

    fn receipt(&mut self, receipt: Option<String>) {
        if let Some(id) = receipt {
            self.push_receipt(&id, &[]);
        }
    }

    fn connect(&mut self, request: &ConnectRequest) {
        let claims = match (&request.token, &self.ticket) {
            (Some(token), _) => self.realtime.app.authenticate(token.expose()),
            (None, Some(claims)) => Ok(claims.clone()),
            (None, None) => Err(AppError::unauthenticated(
                "token_missing",
                "CONNECT needs a bearer token in the header Authorization or passcode, or a ticket in the URL",
            )),
        };
        match claims {
            Ok(claims) => {
                self.caller = Some(Caller::from(&claims));
                self.connected(request.version, request.heart_beat);
            }
            Err(error) => self.refuse(&error, None),
        }
    }

    pub(super) fn caller(&self) -> Result<Caller, AppError> {
        self.caller.ok_or_else(|| AppError::unauthenticated("not_connected", "CONNECT comes first"))
    }

    fn context(&self, key: Option<IdempotencyKey>) -> Context {
        Context { correlation_id: Some(self.id.clone()), idempotency_key: key }
    }

    async fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), AppError> {
        let member = self.caller()?.member_id;
        let version = self.protocol.version();
        let encoding = match (subscribe.ack, &subscribe.key) {
            (AckMode::Auto, SubscriptionKey::Id(id)) => {
                Encoding::Stomp { version, subscription: Some(id.clone()) }
            }
            (AckMode::Auto, SubscriptionKey::Destination(_)) => {
                Encoding::Stomp { version, subscription: None }
            }
            (AckMode::Client | AckMode::ClientIndividual, _) => Encoding::Acknowledged { version },
        };
        let number = self.slots.next();
        let (hub, outbox) = (self.realtime.hub.clone(), self.outbox.clone());
        let (subscription, resume) = match Source::parse(&subscribe.destination)? {
            Source::Room(room) => {
                let subscription = hub.subscribe_room(room, member, encoding.clone(), number, outbox).await?;
                // Checked after the hub knows of it: a removal in between can't be missed.
                let after = self.realtime.app.admit_listener(member, room, subscribe.after_seq).await?;
                (subscription, after.map(|after| (room, after)))
            }
            Source::Unread => {
                let subscription = hub.subscribe_member(member, encoding.clone(), number, outbox).await?;
                (subscription, None)
            }
        };
        self.slots.open(number, subscribe.key.clone(), encoding, subscription, resume);
        Ok(())
    }

    async fn send(&mut self, send: Send) -> Result<(), AppError> {
        let member = self.caller()?.member_id;
        let app = self.realtime.app.clone();
        let receipt = send.receipt;
        match Target::parse(&send.destination)? {
            Target::Message(room) => {
                let context = self.context(key(send.idempotency_key.as_deref())?);
                let body = message_body(&send.body)?;
                let pending = app.begin_send_within(member, room, body, context, QUEUE_LIMIT).await?;
                self.in_flight.push(Box::pin(async move {
                    match pending.wait().await {
                        Ok(done) => Finished::Receipts(sent(receipt, &done).into_iter().collect()),
                        Err(error) => Finished::Failed { error, receipt },
                    }
                }));
            }
            Target::Read(room) => {
                let ReadRequest { seq } = json(&send.body)?;
                let context = self.context(None);
                self.in_flight.push(Box::pin(async move {
                    match app.begin_mark_read(member, room, seq, context).await {
                        Ok(_) => receipts(receipt),
                        Err(error) => Finished::Failed { error, receipt },
                    }
                }));
            }
            Target::Typing(room) => {
                let now = Instant::now();
                let soon = self.typed.is_some_and(|last| now < last + TYPING_EVERY);
                if soon {
                    self.receipt(receipt);
                    return Ok(());
                }
                self.typed = Some(now);
                let broadcast = self.realtime.broadcast.clone();
                self.in_flight.push(Box::pin(async move {
                    let told = async {
                        app.admit(member, room).await?;
                        let display_name = app.account(member).await?.display_name;
                        let change = Change::Typing { member_id: member, display_name };
                        broadcast
                            .publish_ephemeral(Push { position: 0, room_id: room, change })
                            .await
                            .map_err(|error| AppError::unavailable("typing can't be passed on now", error))
                    };
                    match told.await {
                        Ok(()) => receipts(receipt),
                        Err(error) => Finished::Failed { error, receipt },
                    }
                }));
            }
        }
        Ok(())
    }

    /// All messages of a transaction go into the log in one append, or none does. Only messages can be in one.
    async fn commit(&mut self, commit: Commit) -> Result<(), AppError> {
        let member = self.caller()?.member_id;
        for settlement in &commit.settled {
            self.settle(&settlement.key);
        }
        let mut messages = Vec::with_capacity(commit.sends.len());
        let mut wanted = Vec::with_capacity(commit.sends.len());
        for send in commit.sends {
            let Target::Message(room_id) = Target::parse(&send.destination)? else {
                return Err(AppError::new(
                    ErrorClass::Invalid,
                    "not_in_a_transaction",
                    "only messages can be sent in a transaction",
                ));
            };
            messages.push(Outgoing {
                room_id,
                body: message_body(&send.body)?,
                idempotency_key: key(send.idempotency_key.as_deref())?,
            });
            wanted.push(send.receipt);
        }
        if messages.is_empty() {
            self.receipt(commit.receipt);
            return Ok(());
        }
        // Messages to several rooms are decided in one place, apart from what else goes to these rooms: only waiting keeps
        // this client's order there, before it and after it.
        let several = messages.windows(2).any(|pair| matches!(pair, [a, b] if a.room_id != b.room_id));
        if several {
            self.finish_in_flight().await;
        }
        let pending = self.realtime.app.begin_send_all(member, messages, Some(&self.id))?;
        self.in_flight.push(Box::pin(async move {
            match pending.wait().await {
                Ok(done) => {
                    let mut all: Vec<_> =
                        wanted.into_iter().zip(&done).filter_map(|(id, done)| sent(id, done)).collect();
                    all.extend(commit.receipt.map(|id| (id, Vec::new())));
                    Finished::Receipts(all)
                }
                Err(error) => Finished::Failed { error, receipt: commit.receipt },
            }
        }));
        if several {
            self.finish_in_flight().await;
        }
        Ok(())
    }

    fn settle(&mut self, key: &SubscriptionKey) {
        for item in self.slots.release(key) {
            self.deliver(item);
        }
    }
}
