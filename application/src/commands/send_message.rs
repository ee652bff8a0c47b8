//! Saying something.

use crate::{
    AppError, ErrorClass,
    app::{App, Context, Done, wrong_event},
    bus::{Command, Executed, Intent, Pending},
    codec::{Event, Streamed},
    views::MessageView,
};
use std::{collections::HashSet, time::Duration};
use verbatim_domain::{
    MemberId, MessageId, RoomId, Timestamp,
    room::{RoomCommand, RoomEvent},
    text::{IdempotencyKey, MessageBody},
};

/// A message that is in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Its id.
    pub message_id: MessageId,
    /// Its room.
    pub room_id: RoomId,
    /// Its number in the room.
    pub seq: u64,
    /// Who sent it.
    pub sender_id: MemberId,
    /// What it says.
    pub body: MessageBody,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// A message that is queued; the answer comes when it is durable.
#[derive(Debug)]
pub struct PendingSend(Pending);

impl PendingSend {
    /// Waits until the message is durable.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`, `idempotency_key_reused`; `unavailable` when the outcome is not known.
    pub async fn wait(self) -> Result<Done<Sent>, AppError> {
        let executed = self.0.wait_first().await?;
        Ok(Done::of(sent(&executed)?, &executed))
    }
}

/// Messages that are queued as one; all become durable in one append, or none does.
#[derive(Debug)]
pub struct PendingSends(Pending);

impl PendingSends {
    /// Waits until the messages are durable.
    ///
    /// # Errors
    /// As [`PendingSend::wait`]; then none was sent.
    pub async fn wait(self) -> Result<Vec<Done<Sent>>, AppError> {
        self.0.wait().await?.iter().map(|executed| Ok(Done::of(sent(executed)?, executed))).collect()
    }
}

/// One message of several that are sent as one.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// To which room.
    pub room_id: RoomId,
    /// What it says.
    pub body: MessageBody,
    /// The client's key for it.
    pub idempotency_key: Option<IdempotencyKey>,
}

fn sent(executed: &Executed) -> Result<Sent, AppError> {
    match executed.events.first() {
        Some(Event::Room(RoomEvent::MessageSent { room_id, message_id, seq, sender_id, body, sent_at })) => {
            Ok(Sent {
                message_id: *message_id,
                room_id: *room_id,
                seq: *seq,
                sender_id: *sender_id,
                body: body.clone(),
                sent_at: *sent_at,
            })
        }
        _ => Err(wrong_event()),
    }
}

impl App {
    /// Queues a message without waiting. Messages of one caller to one room keep the order of these calls.
    ///
    /// # Errors
    /// `overloaded`: nothing was queued.
    pub fn begin_send(
        &self,
        sender_id: MemberId,
        room_id: RoomId,
        body: MessageBody,
        context: Context,
    ) -> Result<PendingSend, AppError> {
        let intent = self.send_intent(sender_id, room_id, body, self.clock.now(), context);
        Ok(PendingSend(self.bus.submit(intent)?))
    }

    fn send_intent(
        &self,
        sender_id: MemberId,
        room_id: RoomId,
        body: MessageBody,
        sent_at: Timestamp,
        context: Context,
    ) -> Intent {
        let message_id = MessageId::from_uuid(self.ids.next());
        // The hash is only worked out for a keyed command.
        let content = context.idempotency_key.is_some().then(|| (room_id.to_string(), body.to_string()));
        let parts: Vec<&str> =
            content.iter().flat_map(|(room, body)| [room.as_str(), body.as_str()]).collect();
        let command = RoomCommand::SendMessage { message_id, sender_id, body, sent_at };
        self.intent(room_id.stream(), Command::Room(command), sender_id, context, &parts)
    }

    /// Queues a message, waiting at most `limit` for room in the queue. One caller's messages keep their order if each
    /// call is awaited before the next.
    ///
    /// # Errors
    /// `overloaded`: nothing was queued.
    pub async fn begin_send_within(
        &self,
        sender_id: MemberId,
        room_id: RoomId,
        body: MessageBody,
        context: Context,
        limit: Duration,
    ) -> Result<PendingSend, AppError> {
        let intent = self.send_intent(sender_id, room_id, body, self.clock.now(), context);
        Ok(PendingSend(self.bus.submit_within(intent, limit).await?))
    }

    /// Queues several messages, to one room or several, as one: a STOMP transaction. Among themselves they keep their
    /// order, and so they do with the caller's other messages to the room of the last one; a caller who wants it for the
    /// other rooms too waits for what was sent before. Keys are those of the messages, not of the context.
    ///
    /// # Errors
    /// `overloaded`: nothing was queued; `idempotency_key_reused` if two of them have the same key.
    pub fn begin_send_all(
        &self,
        sender_id: MemberId,
        messages: Vec<Outgoing>,
        context: Context,
    ) -> Result<PendingSends, AppError> {
        let sent_at = self.clock.now();
        let mut keys = HashSet::new();
        let mut all = Intent {
            steps: Vec::with_capacity(messages.len()),
            actor: Some(sender_id),
            correlation_id: context.correlation_id,
            trace: context.trace,
        };
        for Outgoing { room_id, body, idempotency_key } in messages {
            if idempotency_key.as_ref().is_some_and(|key| !keys.insert(key.to_string())) {
                return Err(AppError::new(
                    ErrorClass::Conflict,
                    "idempotency_key_reused",
                    "two messages of one transaction have the same idempotency key",
                ));
            }
            let context = Context { idempotency_key, ..Context::default() };
            all.steps.extend(self.send_intent(sender_id, room_id, body, sent_at, context).steps);
        }
        Ok(PendingSends(self.bus.submit(all)?))
    }

    /// Sends a message and waits until it is durable.
    ///
    /// # Errors
    /// As [`Self::begin_send`] and [`PendingSend::wait`].
    pub async fn send_message(
        &self,
        sender_id: MemberId,
        room_id: RoomId,
        body: MessageBody,
        context: Context,
    ) -> Result<Done<MessageView>, AppError> {
        let done = self.begin_send(sender_id, room_id, body, context)?.wait().await?;
        let sender_name = self.profile(done.value.sender_id).await?.display_name.to_string();
        let Sent { message_id, room_id, seq, sender_id, body, sent_at } = done.value;
        let value = MessageView {
            message_id,
            room_id,
            seq,
            sender_id,
            sender_name,
            body: body.into(),
            sent_at,
            edited_at: None,
            deleted: false,
        };
        Ok(Done { value, position: done.position, repeated: done.repeated })
    }
}
