//! Server-sent events (WHATWG HTML, "Server-sent events", event stream interpretation).

use super::CallError;
use crate::Error;
use std::time::Duration;
use tokio::time::timeout;

/// Most bytes of one event; more is taken for a broken stream.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field; empty stands for `message`.
    pub name: String,
    /// The `data:` fields, joined with line feeds.
    pub data: String,
    /// The last `id:` of the stream so far.
    pub id: String,
}

/// Turns bytes into events, however they are cut.
#[derive(Debug, Default)]
pub struct EventParser {
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    has_data: bool,
    size: usize,
}

impl EventParser {
    /// Adds bytes; every event that they complete is appended to `out`.
    ///
    /// # Errors
    /// An event grows past [`MAX_EVENT_BYTES`].
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Error> {
        for byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => self.end_of_line(out),
                other => {
                    self.size += 1;
                    if self.size > MAX_EVENT_BYTES {
                        return Err(Error::Protocol(format!(
                            "an event of more than {MAX_EVENT_BYTES} bytes"
                        )));
                    }
                    self.line.push(*other);
                }
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, out: &mut Vec<Event>) {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() {
            if self.has_data {
                out.push(self.event.clone());
            }
            self.event = Event { id: std::mem::take(&mut self.event.id), ..Event::default() };
            self.has_data = false;
            self.size = 0;
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // A comment (empty field name), `retry`, or something new: nothing that a check reads. Its bytes are
            // forgotten at once, or a stream of heart-beats would count as one endless event.
            _ => self.size = self.size.saturating_sub(bytes.len()),
        }
    }
}

/// An open stream.
#[derive(Debug)]
pub struct EventStream {
    response: reqwest::Response,
    parser: EventParser,
    ready: std::collections::VecDeque<Event>,
}

impl EventStream {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self { response, parser: EventParser::default(), ready: std::collections::VecDeque::new() }
    }

    /// The next event; heart-beats count as a sign of life but are not answered.
    ///
    /// # Errors
    /// The stream ended, or nothing at all came within `silence`.
    pub async fn next(&mut self, silence: Duration) -> Result<Event, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let chunk = timeout(silence, self.response.chunk())
                .await
                .map_err(|_| CallError::Unknown(format!("event stream silent for {silence:?}")))?
                .map_err(|error| CallError::Unknown(error.to_string()))?
                .ok_or_else(|| CallError::Unknown("event stream ended".to_owned()))?;
            let mut out = Vec::new();
            self.parser.push(&chunk, &mut out).map_err(|error| CallError::Unknown(error.to_string()))?;
            self.ready.extend(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(bytes: &[u8], cut: usize) -> Vec<Event> {
        let mut parser = EventParser::default();
        let mut out = Vec::new();
        for piece in bytes.chunks(cut.max(1)) {
            parser.push(piece, &mut out).unwrap();
        }
        out
    }

    fn event(name: &str, data: &str, id: &str) -> Event {
        Event { name: name.into(), data: data.into(), id: id.into() }
    }

    #[test]
    fn reads_fields_comments_line_ends_and_remembers_the_id() {
        let bytes =
            b": beat\n\nevent: unread\r\nid: 7\r\ndata: a\r\ndata:b\r\n\r\ndata\r\r event:x\n\ndata:tail";
        for cut in [1, 2, 3, 1000] {
            assert_eq!(events(bytes, cut), [event("unread", "a\nb", "7"), event("", "", "7")], "cut {cut}");
        }
    }

    #[test]
    fn an_endless_event_is_an_error_and_heart_beats_are_not() {
        let mut parser = EventParser::default();
        for _ in 0..MAX_EVENT_BYTES {
            parser.push(b":b\n", &mut Vec::new()).unwrap();
        }
        assert!(parser.push(&vec![b'x'; MAX_EVENT_BYTES + 1], &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(text in "(data:[a-z]{0,3}|event:[a-z]|id:[0-9]|:|\r|\n|\r\n|☃){0,60}", cut in 1usize..9) {
            prop_assert_eq!(events(text.as_bytes(), cut), events(text.as_bytes(), usize::MAX));
        }
    }
}
