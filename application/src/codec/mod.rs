//! Between events and the JSON in the log: encoding, upcasting old versions, decoding.

mod about;
mod upcast;

pub use about::About;
pub use upcast::{UPCASTERS, Upcast, Upcaster, Version, upcast};

use crate::{
    ports::{NewEvent, RecordedEvent, StreamId},
    trace::TraceContext,
};
use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};
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
    /// What led to it: the step of the trace, as 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The same step with its trace (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceContext>,
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
    /// JSON of [`Metadata`].
    pub metadata: String,
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
        let Version { event_type, event_version } = self.version();
        let payload = match self {
            Self::Member(event) => serde_json::to_string(event)?,
            Self::Email(event) => serde_json::to_string(event)?,
            Self::Room(event) => serde_json::to_string(event)?,
            Self::ReadCursor(event) => serde_json::to_string(event)?,
        };
        Ok(Encoded { event_type, event_version, payload })
    }

    /// Its name, and the version that this program writes.
    #[must_use]
    pub fn version(&self) -> Version {
        let (event_type, event_version) = match self {
            Self::Member(event) => (event.name(), event.version()),
            Self::Email(event) => (event.name(), event.version()),
            Self::Room(event) => (event.name(), event.version()),
            Self::ReadCursor(event) => (event.name(), event.version()),
        };
        Version { event_type, event_version }
    }

    /// Reads a stored event, whatever its version.
    ///
    /// # Errors
    /// [`DecodeError`] if type or version are unknown or the payload does not fit.
    pub fn decode(recorded: &RecordedEvent) -> Result<Self, DecodeError> {
        Self::decode_by(UPCASTERS, recorded)
    }

    /// Reads a stored event with upcasters of one's own.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_by(table: &[Upcaster], recorded: &RecordedEvent) -> Result<Self, DecodeError> {
        let RecordedEvent { aggregate_type, event_type, event_version, payload, .. } = recorded;
        parse(table, aggregate_type, event_type, event_version, payload).map_err(|source| DecodeError {
            position: recorded.position,
            aggregate_type: aggregate_type.clone(),
            event_type: event_type.clone(),
            event_version: event_version.clone(),
            source,
        })
    }

    /// Reads an event that is on its way into the log.
    pub(crate) fn of_new(new: &NewEvent) -> Result<Self, DecodeError> {
        let NewEvent { stream, event_type, event_version, payload, .. } = new;
        parse(UPCASTERS, stream.aggregate_type, event_type, event_version, payload).map_err(|source| {
            DecodeError {
                position: 0,
                aggregate_type: stream.aggregate_type.to_owned(),
                event_type: (*event_type).to_owned(),
                event_version: (*event_version).to_owned(),
                source,
            }
        })
    }
}

/// Reads a payload; the error is `None` if nobody ever wrote such an event.
fn parse(
    table: &[Upcaster],
    aggregate_type: &str,
    event_type: &str,
    event_version: &str,
    payload: &str,
) -> Result<Event, Option<serde_json::Error>> {
    let up = upcast(table, event_type, event_version, payload)?;
    let json = &up.payload;
    let event = match aggregate_type {
        Member::TYPE => Event::Member(serde_json::from_str(json)?),
        Email::TYPE => Event::Email(serde_json::from_str(json)?),
        Room::TYPE => Event::Room(serde_json::from_str(json)?),
        ReadCursor::TYPE => Event::ReadCursor(serde_json::from_str(json)?),
        _ => return Err(None),
    };
    // What it was stored as must be what it is: a version that this program does not know may parse by accident.
    let Version { event_type, event_version } = event.version();
    if (event_type, event_version) != (up.event_type, up.event_version) {
        return Err(None);
    }
    Ok(event)
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
            metadata: recorded.metadata.clone(),
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
