//! Between events and the JSON in the log: encoding, upcasting old versions, decoding.

use crate::ports::{RecordedEvent, StreamId};
use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use verbatim_domain::{
    CursorId, EmailId, MemberId, RoomId, Timestamp,
    email::{Email, EmailEvent},
    member::{Member, MemberEvent},
    read_cursor::{ReadCursor, ReadCursorEvent},
    room::{Room, RoomEvent},
};

/// What the log keeps beside an event: who asked for it, and in which request.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<MemberId>,
    /// The request it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// SHA-256, in hex, of what an idempotent command asked for: the same key with other content is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
}

/// An event of any aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Of an account.
    Member(MemberEvent),
    /// Of an address.
    Email(EmailEvent),
    /// Of a room.
    Room(RoomEvent),
    /// Of a read cursor.
    ReadCursor(ReadCursorEvent),
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Its place in the log.
    pub position: u64,
    /// Its number in its stream.
    pub sequence: u64,
    /// When the log took it.
    pub recorded_at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A stored event that this version of the program can't read. Nothing may skip it silently.
#[derive(Debug, thiserror::Error)]
#[error("event {position} ({aggregate_type} {event_type} v{event_version}) can't be read")]
pub struct DecodeError {
    position: u64,
    aggregate_type: String,
    event_type: String,
    event_version: String,
    #[source]
    source: Option<serde_json::Error>,
}

/// Names and version of an event, and its JSON.
pub struct Encoded {
    /// Stable name.
    pub event_type: &'static str,
    /// Version of the payload's shape.
    pub event_version: &'static str,
    /// JSON.
    pub payload: String,
}

impl Event {
    /// The event as the log stores it.
    ///
    /// # Errors
    /// JSON can't express it, which is a bug.
    pub fn encode(&self) -> Result<Encoded, serde_json::Error> {
        let (event_type, event_version, payload) = match self {
            Self::Member(e) => (e.name(), e.version(), serde_json::to_string(e)?),
            Self::Email(e) => (e.name(), e.version(), serde_json::to_string(e)?),
            Self::Room(e) => (e.name(), e.version(), serde_json::to_string(e)?),
            Self::ReadCursor(e) => (e.name(), e.version(), serde_json::to_string(e)?),
        };
        Ok(Encoded { event_type, event_version, payload })
    }

    /// Reads a stored event, whatever its version.
    ///
    /// # Errors
    /// [`DecodeError`] if type or version are unknown or the payload does not fit.
    pub fn decode(recorded: &RecordedEvent) -> Result<Self, DecodeError> {
        let refuse = |source| DecodeError {
            position: recorded.position,
            aggregate_type: recorded.aggregate_type.clone(),
            event_type: recorded.event_type.clone(),
            event_version: recorded.event_version.clone(),
            source,
        };
        let json = upcast(&recorded.event_type, &recorded.event_version, &recorded.payload)
            .ok_or_else(|| refuse(None))?;
        let event = match recorded.aggregate_type.as_str() {
            Member::TYPE => serde_json::from_str(json).map(Self::Member),
            Email::TYPE => serde_json::from_str(json).map(Self::Email),
            Room::TYPE => serde_json::from_str(json).map(Self::Room),
            ReadCursor::TYPE => serde_json::from_str(json).map(Self::ReadCursor),
            _ => return Err(refuse(None)),
        };
        event.map_err(|error| refuse(Some(error)))
    }
}

/// Brings a payload of an older version to today's shape; `None` for a version nobody ever wrote. All events are in
/// version 1 still, so the table is the identity; a new version adds an arm that rewrites the old JSON.
fn upcast<'a>(_event_type: &str, event_version: &str, payload: &'a str) -> Option<&'a str> {
    match event_version {
        "1" => Some(payload),
        _ => None,
    }
}

impl Envelope {
    /// Reads a stored event with its place.
    ///
    /// # Errors
    /// [`DecodeError`]
    pub fn decode(recorded: &RecordedEvent) -> Result<Self, DecodeError> {
        Ok(Self {
            position: recorded.position,
            sequence: recorded.sequence,
            recorded_at: recorded.recorded_at,
            event: Event::decode(recorded)?,
        })
    }
}

/// Names the stream of an aggregate.
pub trait Streamed {
    /// The stream.
    fn stream(&self) -> StreamId;
}

macro_rules! streamed {
    ($id:ty, $aggregate:ty) => {
        impl Streamed for $id {
            fn stream(&self) -> StreamId {
                StreamId { aggregate_type: <$aggregate as Aggregate>::TYPE, aggregate_id: self.as_uuid() }
            }
        }
    };
}
streamed!(MemberId, Member);
streamed!(EmailId, Email);
streamed!(RoomId, Room);
streamed!(CursorId, ReadCursor);

/// The `Aggregate::TYPE` that a stored one names, if this program knows it.
#[must_use]
pub fn known_type(aggregate_type: &str) -> Option<&'static str> {
    [Member::TYPE, Email::TYPE, Room::TYPE, ReadCursor::TYPE].into_iter().find(|t| *t == aggregate_type)
}

/// A stream by the names in the log.
#[must_use]
pub fn stream_of(aggregate_type: &str, aggregate_id: Uuid) -> Option<StreamId> {
    Some(StreamId { aggregate_type: known_type(aggregate_type)?, aggregate_id })
}
