//! What each STOMP frame does.

use super::{
    account::Account,
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
use verbatim_domain::{
    MemberId, RoomId,
    text::{IdempotencyKey, MessageBody},
};

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

/// The messages of a transaction, each with the receipt that is wanted for it.
fn outgoing(sends: Vec<Send>) -> Result<(Vec<Outgoing>, Vec<Option<String>>), AppError> {
    let mut messages = Vec::with_capacity(sends.len());
    let mut wanted = Vec::with_capacity(sends.len());
    for send in sends {
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
    Ok((messages, wanted))
}

/// The room that a destination names, if it does.
fn room_of(destination: &str) -> Option<RoomId> {
    match Source::parse(destination) {
        Ok(Source::Room(room)) => Some(room),
        Ok(Source::Unread) | Err(_) => None,
    }
}

impl Connection {
    pub(super) async fn act(&mut self, action: Action, mut account: Account) {
        match action {
            Action::Connect(request) => self.connect(&request, account),
            Action::Subscribe(subscribe) => {
                account.room = room_of(&subscribe.destination);
                if let Err(error) = self.subscribe(&subscribe).await {
                    // Where an ERROR does not end the session (1.0), the subscription at least does.
                    self.protocol.end_subscription(&subscribe.key);
                    self.refuse_frame(&error, subscribe.receipt.as_deref(), account);
                } else {
                    account.done();
                    self.receipt(subscribe.receipt);
                }
            }
            Action::Unsubscribe(unsubscribe) => {
                account.room = room_of(&unsubscribe.destination);
                account.done();
                self.slots.close_key(&unsubscribe.key);
                self.receipt(unsubscribe.receipt);
            }
            Action::Send(send) => self.send(send, account).await,
            Action::Commit(commit) => self.commit(commit, account).await,
            Action::Settled(settled) => {
                account.done_quietly();
                self.settle(&settled.settlement.key);
                self.receipt(settled.receipt);
            }
            Action::Done { receipt } => {
                account.done_quietly();
                self.receipt(receipt);
            }
            Action::Disconnect { receipt } => {
                account.done();
                self.drain(receipt, CloseCode::Normal, "disconnect");
            }
            Action::Error(error) => self.violated(&error, account),
        }
    }

    fn refuse_frame(&mut self, error: &AppError, receipt: Option<&str>, account: Account) {
        account.failed(error);
        self.refuse(error, receipt);
    }

    fn receipt(&mut self, receipt: Option<String>) {
        if let Some(id) = receipt {
            self.push_receipt(&id, &[]);
        }
    }

    fn connect(&mut self, request: &ConnectRequest, mut account: Account) {
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
                account.member = Some(claims.member_id);
                account.done();
                self.connected(request.version, request.heart_beat);
            }
            Err(error) => self.refuse_frame(&error, None, account),
        }
    }

    pub(super) fn caller(&self) -> Result<Caller, AppError> {
        self.caller.ok_or_else(|| AppError::unauthenticated("not_connected", "CONNECT comes first"))
    }

    fn context(&self, key: Option<IdempotencyKey>, account: &Account) -> Context {
        Context {
            correlation_id: Some(self.id.to_string()),
            trace: Some(account.trace()),
            idempotency_key: key,
        }
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

    async fn send(&mut self, send: Send, mut account: Account) {
        let target = self.caller().and_then(|caller| Ok((caller, Target::parse(&send.destination)?)));
        let (caller, target) = match target {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse_frame(&error, send.receipt.as_deref(), account),
        };
        account.room = Some(target.room());
        match target {
            Target::Message(room) => self.send_message(caller.member_id, room, send, account).await,
            Target::Read(room) => self.mark_read(caller.member_id, room, send, account),
            Target::Typing(room) => self.typing(caller.member_id, room, send.receipt, account),
        }
    }

    async fn send_message(&mut self, member: MemberId, room: RoomId, send: Send, account: Account) {
        let receipt = send.receipt;
        let parsed =
            key(send.idempotency_key.as_deref()).and_then(|key| Ok((key, message_body(&send.body)?)));
        let begun = match parsed {
            Ok((key, body)) => {
                let context = self.context(key, &account);
                self.realtime.app.begin_send_within(member, room, body, context, QUEUE_LIMIT).await
            }
            Err(error) => Err(error),
        };
        let pending = match begun {
            Ok(pending) => pending,
            Err(error) => return self.refuse_frame(&error, receipt.as_deref(), account),
        };
        self.in_flight.push(Box::pin(async move {
            match pending.wait().await {
                Ok(done) => {
                    account.accepted(&done);
                    Finished::Receipts(sent(receipt, &done).into_iter().collect())
                }
                Err(error) => {
                    account.failed(&error);
                    Finished::Failed { error, receipt }
                }
            }
        }));
    }

    fn mark_read(&mut self, member: MemberId, room: RoomId, send: Send, account: Account) {
        let receipt = send.receipt;
        let ReadRequest { seq } = match json(&send.body) {
            Ok(request) => request,
            Err(error) => return self.refuse_frame(&error, receipt.as_deref(), account),
        };
        let app = self.realtime.app.clone();
        let context = self.context(None, &account);
        self.in_flight.push(Box::pin(async move {
            match app.begin_mark_read(member, room, seq, context).await {
                Ok(_) => {
                    account.done();
                    receipts(receipt)
                }
                Err(error) => {
                    account.failed(&error);
                    Finished::Failed { error, receipt }
                }
            }
        }));
    }

    fn typing(&mut self, member: MemberId, room: RoomId, receipt: Option<String>, account: Account) {
        let now = Instant::now();
        if self.typed.is_some_and(|last| now < last + TYPING_EVERY) {
            account.done_quietly();
            return self.receipt(receipt);
        }
        self.typed = Some(now);
        let (app, broadcast) = (self.realtime.app.clone(), self.realtime.broadcast.clone());
        self.in_flight.push(Box::pin(async move {
            let told = async {
                app.admit(member, room).await?;
                let display_name = app.account(member).await?.display_name;
                let change = Change::Typing { member_id: member, display_name };
                broadcast
                    .publish_ephemeral(Push::new(0, room, change))
                    .await
                    .map_err(|error| AppError::unavailable("typing can't be passed on now", error))
            };
            match told.await {
                Ok(()) => {
                    account.done_quietly();
                    receipts(receipt)
                }
                Err(error) => {
                    account.failed(&error);
                    Finished::Failed { error, receipt }
                }
            }
        }));
    }

    /// All messages of a transaction go into the log in one append, or none does. Only messages can be in one.
    async fn commit(&mut self, commit: Commit, account: Account) {
        for settlement in &commit.settled {
            self.settle(&settlement.key);
        }
        let outgoing = self.caller().and_then(|caller| Ok((caller, outgoing(commit.sends)?)));
        let (caller, (messages, wanted)) = match outgoing {
            Ok(outgoing) => outgoing,
            Err(error) => return self.refuse_frame(&error, commit.receipt.as_deref(), account),
        };
        if messages.is_empty() {
            account.done();
            return self.receipt(commit.receipt);
        }
        // Messages to several rooms are decided in one place, apart from what else goes to these rooms: only waiting keeps
        // this client's order there, before it and after it.
        let several = messages.windows(2).any(|pair| matches!(pair, [a, b] if a.room_id != b.room_id));
        if several {
            self.finish_in_flight().await;
        }
        let context = self.context(None, &account);
        let pending = match self.realtime.app.begin_send_all(caller.member_id, messages, context) {
            Ok(pending) => pending,
            Err(error) => return self.refuse_frame(&error, commit.receipt.as_deref(), account),
        };
        self.in_flight.push(Box::pin(async move {
            match pending.wait().await {
                Ok(done) => {
                    account.all_accepted(&done);
                    let mut all: Vec<_> =
                        wanted.into_iter().zip(&done).filter_map(|(id, done)| sent(id, done)).collect();
                    all.extend(commit.receipt.map(|id| (id, Vec::new())));
                    Finished::Receipts(all)
                }
                Err(error) => {
                    account.failed(&error);
                    Finished::Failed { error, receipt: commit.receipt }
                }
            }
        }));
        if several {
            self.finish_in_flight().await;
        }
    }

    fn settle(&mut self, key: &SubscriptionKey) {
        for item in self.slots.release(key) {
            self.deliver(item);
        }
    }
}
