//! What is pushed, as JSON, and how each kind of session wants it framed. Everything is encoded once and shared.

use super::outbox::Payload;
use crate::stomp::{Message, MessageTemplate, Version};
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use verbatim_application::{
    push::{Change, Membership, Push},
    views::{MessageView, UnreadView},
};
use verbatim_domain::{MemberId, RoomId};

/// Numbers what is told of typing.
static TYPING: AtomicU64 = AtomicU64::new(1);

/// How a subscriber wants its items.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A STOMP MESSAGE frame for this subscription id (none in 1.0, if the client gave none). Clients nearly all use the
    /// same id, so they share frames.
    Stomp {
        /// The version that was negotiated.
        version: Version,
        /// The client's id for the subscription.
        subscription: Option<Arc<str>>,
    },
    /// A STOMP MESSAGE frame that the client acknowledges.
    Acknowledged {
        /// The version that was negotiated.
        version: Version,
    },
    /// A server-sent event.
    Sse,
}

/// One thing to tell, before framing.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) kind: &'static str,
    /// What it is about: a room's topic, or the member's own queue.
    pub(super) room: Option<RoomId>,
    pub(super) message_id: String,
    /// The room's message number it belongs to, for the `seq` header.
    pub(super) seq: u64,
    /// Whether `seq` is a cursor: only new messages move it.
    pub(super) cursor: bool,
    pub(super) json: String,
}

/// A message with its type, flat.
#[derive(Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    what: &'a T,
}

#[derive(Serialize)]
struct MemberChange<'a> {
    room_id: RoomId,
    #[serde(flatten)]
    membership: &'a Membership,
}

fn json<T: Serialize>(kind: &str, what: &T) -> Option<String> {
    serde_json::to_string(&Typed { kind, what })
        .inspect_err(|error| tracing::error!(%error, "a push can't be written as JSON"))
        .ok()
}

impl Body {
    /// A new message, live or from history.
    pub(super) fn message(view: &MessageView) -> Option<Self> {
        Some(Self {
            kind: "message",
            room: Some(view.room_id),
            message_id: view.message_id.to_string(),
            seq: view.seq,
            cursor: true,
            json: json("message", view)?,
        })
    }

    /// What the subscribers of a room's topic are told, if anything.
    pub(super) fn of(push: &Push) -> Option<Self> {
        let event = |kind, seq, json| Self {
            kind,
            room: Some(push.room_id),
            message_id: format!("{}-{}", push.room_id, push.position),
            seq,
            cursor: false,
            json,
        };
        let member = |kind, membership: &Membership| {
            let json = json(kind, &MemberChange { room_id: push.room_id, membership })?;
            Some(event(kind, membership.last_seq, json))
        };
        match &push.change {
            Change::Sent(view) => Self::message(view),
            Change::Edited(view) => Some(event("message_edited", view.seq, json("message_edited", view)?)),
            Change::Deleted(view) => Some(event("message_deleted", view.seq, json("message_deleted", view)?)),
            Change::Joined(membership) => member("member_joined", membership),
            Change::Left(membership) => member("member_left", membership),
            Change::Typing { member_id, display_name } => {
                #[derive(Serialize)]
                struct Typing<'a> {
                    room_id: RoomId,
                    member_id: MemberId,
                    display_name: &'a str,
                }
                let what = Typing { room_id: push.room_id, member_id: *member_id, display_name };
                let mut body = event("typing", 0, json("typing", &what)?);
                // It has no position, and an id of its own all the same: some clients drop a message-id they know.
                let number = TYPING.fetch_add(1, Ordering::Relaxed);
                body.message_id = format!("typing-{}-{number}", push.room_id);
                Some(body)
            }
            Change::Closed { .. } | Change::Read { .. } => None,
        }
    }

    /// What a member is told about their own unread counts.
    pub(super) fn unread(view: &UnreadView) -> Option<Self> {
        Some(Self {
            kind: "unread",
            room: None,
            message_id: format!(
                "unread-{}-{}-{}-{}",
                view.room_id, view.last_seq, view.read_seq, view.unread
            ),
            seq: view.last_seq,
            cursor: false,
            json: serde_json::to_string(view).ok()?,
        })
    }

    /// What a member is told when they come into or go from a room.
    pub(super) fn own_membership(kind: &'static str, push: &Push, membership: &Membership) -> Option<Self> {
        let room_id = push.room_id;
        Some(Self {
            kind,
            room: None,
            message_id: format!("{kind}-{room_id}-{}", push.position),
            seq: membership.last_seq,
            cursor: false,
            json: json(kind, &MemberChange { room_id, membership })?,
        })
    }

    /// What one kind of session is sent.
    pub(super) fn encode(&self, encoding: &Encoding) -> Payload {
        match encoding {
            Encoding::Stomp { version, subscription } => {
                let frame = self.template(*version).frame(subscription.as_deref(), None);
                // Headers and JSON are text, so this is a check and not a copy.
                let text = String::from_utf8(frame)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                Payload::Ready(text.into())
            }
            Encoding::Acknowledged { version } => Payload::Acknowledged {
                template: Arc::new(self.template(*version)),
                message_id: self.message_id.as_str().into(),
            },
            Encoding::Sse => Payload::Ready(self.sse()),
        }
    }

    fn template(&self, version: Version) -> MessageTemplate {
        let destination = match self.room {
            Some(room) => format!("/topic/{room}"),
            None => "/user/queue/unread".to_owned(),
        };
        let seq = self.seq.to_string();
        MessageTemplate::new(
            version,
            &Message {
                destination: &destination,
                message_id: &self.message_id,
                content_type: Some("application/json"),
                headers: &[("seq", &seq), ("type", self.kind)],
                body: self.json.as_bytes(),
            },
        )
    }

    /// WHATWG HTML, section 9.2.6: `data:` always with its colon; JSON holds no line breaks, so one line is enough.
    fn sse(&self) -> Utf8Bytes {
        let mut text = String::with_capacity(self.json.len() + 64);
        if self.cursor {
            text.push_str("id: ");
            text.push_str(&self.seq.to_string());
            text.push('\n');
        }
        text.push_str("event: ");
        text.push_str(self.kind);
        text.push_str("\ndata: ");
        text.push_str(&self.json);
        text.push_str("\n\n");
        text.into()
    }
}

/// A message from history as a live one would have come.
#[must_use]
pub fn encode_message(view: &MessageView, encoding: &Encoding) -> Option<Payload> {
    Some(Body::message(view)?.encode(encoding))
}
