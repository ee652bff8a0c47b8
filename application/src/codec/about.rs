//! What an event is about, and what led to it: for its lines in the log.

use super::{Envelope, Event, Metadata};
use crate::trace::TraceContext;
use verbatim_domain::{MessageId, RoomId, read_cursor::ReadCursorEvent, room::RoomEvent};

/// Comes before the trace context in the JSON of [`Metadata`].
const TRACEPARENT: &str = r#""traceparent""#;

/// The ids that an event names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The room.
    pub room_id: Option<RoomId>,
    /// The message.
    pub message_id: Option<MessageId>,
    /// The message's number, or that of the last one read.
    pub seq: Option<u64>,
}

impl Event {
    /// The ids that it names.
    #[must_use]
    pub fn about(&self) -> About {
        match self {
            Self::Room(event) => {
                let (message_id, seq) = match event {
                    RoomEvent::MessageSent { message_id, seq, .. }
                    | RoomEvent::MessageEdited { message_id, seq, .. }
                    | RoomEvent::MessageDeleted { message_id, seq, .. } => (Some(*message_id), Some(*seq)),
                    _ => (None, None),
                };
                About { room_id: Some(event.room_id()), message_id, seq }
            }
            Self::ReadCursor(ReadCursorEvent::ReadCursorAdvanced { room_id, seq, .. }) => {
                About { room_id: Some(*room_id), message_id: None, seq: Some(*seq) }
            }
            Self::Member(_) | Self::Email(_) => About::default(),
        }
    }
}

impl Envelope {
    /// The step of a trace that led to the event. Only looked for, for most who read events do not ask.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let (_, rest) = self.metadata.split_once(TRACEPARENT)?;
        // A log may give JSON back with spaces where it had none.
        let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        TraceContext::parse(rest.split_once('"')?.0)
    }

    /// What the log keeps beside the event; nothing if it can't be read.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        serde_json::from_str(&self.metadata).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verbatim_domain::Timestamp;

    fn envelope(metadata: &str) -> Envelope {
        let event = RoomEvent::RoomClosed {
            room_id: RoomId::from_uuid(uuid::Uuid::nil()),
            at_seq: 3,
            at: Timestamp::UNIX_EPOCH,
        };
        let recorded_at = Timestamp::UNIX_EPOCH;
        Envelope {
            position: 1,
            sequence: 1,
            recorded_at,
            event: Event::Room(event),
            metadata: metadata.to_owned(),
        }
    }

    #[test]
    fn what_led_to_an_event_is_found_as_it_is_written() {
        let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let written = Metadata {
            correlation_id: Some("a \"quoted\" id".to_owned()),
            causation_id: Some("00f067aa0ba902b7".to_owned()),
            traceparent: trace,
            ..Metadata::default()
        };
        let envelope = envelope(&serde_json::to_string(&written).unwrap());
        assert_eq!((envelope.trace(), envelope.metadata()), (trace, written));
        assert!(trace.is_some());
        let spaced =
            r#"{"actor": null, "traceparent" : "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
        assert_eq!(self::envelope(spaced).trace(), trace);
    }

    #[test]
    fn events_of_before_have_none() {
        for metadata in ["{}", r#"{"actor":null,"correlation_id":"x"}"#, "", r#"{"traceparent":"#] {
            assert_eq!(envelope(metadata).trace(), None);
        }
        assert_eq!(envelope(r#"{"correlation_id":"x"}"#).metadata().correlation_id.as_deref(), Some("x"));
    }
}
