//! Cuts the octet stream of one connection into frames.
//!
//! The decoder works on the joined stream: where one WebSocket message ends and the next begins has no meaning, a
//! cut may fall inside a UTF-8 sequence, and one message may carry several frames (see INTERFACE.md, "What real
//! clients do"). Each octet is looked at once, and what is kept between two calls is at most one head and one body,
//! within [`Limits`].

mod body;
mod limits;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use self::body::grow;
pub use self::limits::{Limits, MAX_BODY, MAX_HEAD, MAX_HEADER_LINE, MAX_HEADERS};
use super::decode_error::{DecodeError, excerpt};
use super::escape::Escapes;
use super::frame::{Command, Frame, Version};
use super::headers::Headers;

/// What the stream consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A complete frame.
    Frame(Frame),
    /// A line end between frames (1.2, Heart-beating). One that pads the end of a frame looks the same and counts
    /// as well: any data shows that the other side is alive.
    HeartBeat,
}

/// An incremental parser for one direction of one connection.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    from_client: bool,
    version: Option<Version>,
    state: State,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    /// Octets of the present frame's command and headers so far.
    head_octets: usize,
    command: Command,
    headers: Headers,
    /// The start of a body whose end has not arrived.
    body: Vec<u8>,
    failure: Option<DecodeError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a command; `after_cr`: a carriage return has come, only a line feed may follow.
    Between {
        after_cr: bool,
    },
    Command,
    Headers,
    /// A body of exactly this many octets, then NUL.
    Sized(usize),
    /// A body that is longer than this announced size, perhaps because a client tore characters apart.
    Torn(usize),
    /// A body up to the first NUL.
    UntilNul,
}

/// A line, without its line feed.
enum Line<'i> {
    Ended(Cow<'i, [u8]>),
    /// NUL stands where a line would start.
    Nul,
    /// The input ends before the line does.
    Partial,
}

impl Decoder {
    /// A server's decoder: accepts client commands. The version is open until [`set_version`](Self::set_version).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            from_client: true,
            version: None,
            state: State::Between { after_cr: false },
            line: Vec::new(),
            head_octets: 0,
            command: Command::Connect,
            headers: Headers::default(),
            body: Vec::new(),
            failure: None,
        }
    }

    /// A client's decoder: accepts server commands. For test clients.
    #[must_use]
    pub fn for_server_frames(limits: Limits) -> Self {
        Self { from_client: false, ..Self::new(limits) }
    }

    /// Decides how all that follows is read: call it between the `CONNECT` and the next [`decode`](Self::decode).
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Takes octets from the front of `input` up to the end of one item. `None`: all of `input` is taken, and more is
    /// needed. Call it until `None` before the next chunk; what lies after a frame is not touched before the next
    /// call, so that the answer to a `CONNECT` can set the version first.
    ///
    /// # Errors
    /// The stream is not STOMP, or exceeds a limit. Nothing after the error can be read: each later call repeats it.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Item>, DecodeError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.step(input).inspect_err(|error| {
            self.failure = Some(error.clone());
            self.line = Vec::new();
            self.body = Vec::new();
        })
    }

    /// The `receipt` header of the frame that is being read, if it has been seen: an `ERROR` after a failure refers
    /// to it (1.2, ERROR).
    #[must_use]
    pub fn pending_receipt(&self) -> Option<&str> {
        self.headers.get("receipt")
    }

    /// Octets of memory held for a frame that is not complete.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.line.capacity() + self.headers.capacity() + self.body.capacity()
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Item>, DecodeError> {
        loop {
            let item = match self.state {
                State::Between { after_cr } => {
                    let Some(first) = input.first() else { return Ok(None) };
                    match (first, after_cr) {
                        (b'\n', _) => {
                            take(input, 1);
                            self.state = State::Between { after_cr: false };
                            Some(Item::HeartBeat)
                        }
                        (_, true) => return Err(DecodeError::StrayCarriageReturn),
                        // In every version: the padding of a CONNECT is read after the version is known.
                        (b'\r', false) => {
                            take(input, 1);
                            self.state = State::Between { after_cr: true };
                            None
                        }
                        _ => {
                            self.state = State::Command;
                            None
                        }
                    }
                }
                State::Command => match self.line(input, Command::MAX_LEN + 1)? {
                    Line::Ended(line) => {
                        self.start(strip_cr(&line, self.crlf_ends_lines()))?;
                        None
                    }
                    Line::Nul => return Err(DecodeError::UnknownCommand { found: "\0".to_owned() }),
                    Line::Partial => return Ok(None),
                },
                State::Headers => match self.line(input, self.limits.header_line)? {
                    Line::Ended(line) => {
                        match strip_cr(&line, self.crlf_ends_lines()) {
                            [] => self.state = self.body_state()?,
                            line => self.header(line)?,
                        }
                        None
                    }
                    // The specification's own example of DISCONNECT ends like this, without the blank line.
                    Line::Nul => match self.body_state()? {
                        State::UntilNul | State::Sized(0) => Some(self.finish(Bytes::new())),
                        _ => return Err(DecodeError::NulInHeaders),
                    },
                    Line::Partial => return Ok(None),
                },
                State::Sized(size) => match self.sized_body(input, size)? {
                    Some(body) => Some(self.finish(body)),
                    None if self.state == State::Torn(size) => None,
                    None => return Ok(None),
                },
                State::Torn(size) => match self.torn_body(input, size)? {
                    Some(body) => Some(self.finish(body)),
                    None => return Ok(None),
                },
                State::UntilNul => match self.body_until_nul(input)? {
                    Some(body) => Some(self.finish(body)),
                    None => return Ok(None),
                },
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// Takes a line up to and with its line feed; `max` counts its octets without.
    fn line<'i>(&mut self, input: &mut &'i [u8], max: usize) -> Result<Line<'i>, DecodeError> {
        // One octet more than `max` may be the CR of a line end.
        let max = max + usize::from(self.state == State::Headers);
        let end = memchr::memchr2(b'\n', 0, input);
        let part = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
        // Which of two limits is reported must not depend on the cut: the one that is exceeded first.
        let line_room = max.saturating_sub(self.line.len());
        let head_room = self
            .limits
            .head
            .checked_sub(self.head_octets + self.line.len() + 1)
            .ok_or(DecodeError::HeadTooLong { max: self.limits.head })?;
        if part.len() > line_room.min(head_room) {
            return Err(match self.state {
                _ if head_room < line_room => DecodeError::HeadTooLong { max: self.limits.head },
                State::Command => self.unknown_command(part),
                _ => DecodeError::HeaderLineTooLong { max: self.limits.header_line },
            });
        }
        match end.and_then(|end| input.get(end)) {
            Some(b'\n') => {
                take(input, part.len() + 1);
                let line = if self.line.is_empty() {
                    Cow::Borrowed(part)
                } else {
                    self.line.extend_from_slice(part);
                    Cow::Owned(std::mem::take(&mut self.line))
                };
                self.head_octets += line.len() + 1;
                Ok(Line::Ended(line))
            }
            Some(_) if self.line.is_empty() && part.is_empty() => {
                take(input, 1);
                Ok(Line::Nul)
            }
            Some(_) if self.state == State::Command => Err(self.unknown_command(part)),
            Some(_) => Err(DecodeError::NulInHeaders),
            None => {
                take(input, part.len());
                grow(&mut self.line, part, max);
                Ok(Line::Partial)
            }
        }
    }

    fn unknown_command(&self, part: &[u8]) -> DecodeError {
        // One octet more than a command has: the same text wherever the input was cut.
        let seen: Vec<u8> = self.line.iter().chain(part).copied().take(Command::MAX_LEN + 2).collect();
        DecodeError::UnknownCommand { found: excerpt(&seen) }
    }

    /// Only 1.2 ends lines with CRLF, and before negotiation the client may be one of 1.2.
    fn crlf_ends_lines(&self) -> bool {
        matches!(self.version, None | Some(Version::V1_2))
    }

    fn start(&mut self, name: &[u8]) -> Result<(), DecodeError> {
        self.command = Command::parse(name)
            .filter(|command| command.is_client() == self.from_client)
            .ok_or_else(|| DecodeError::UnknownCommand { found: excerpt(name) })?;
        self.state = State::Headers;
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), DecodeError> {
        if self.headers.len() == self.limits.headers {
            return Err(DecodeError::TooManyHeaders { max: self.limits.headers });
        }
        if line.len() > self.limits.header_line {
            return Err(DecodeError::HeaderLineTooLong { max: self.limits.header_line });
        }
        let rules = self.version.map_or(Escapes::None, |version| Escapes::of(version, self.command));
        if rules == Escapes::V1_2 && memchr::memchr(b'\r', line).is_some() {
            return Err(DecodeError::StrayCarriageReturn);
        }
        let text = std::str::from_utf8(line).map_err(|_| DecodeError::HeaderNotUtf8)?;
        // Clients that never escape put colons into values: only the first one separates.
        let (mut name, mut value) = text
            .split_once(':')
            .ok_or_else(|| DecodeError::HeaderWithoutColon { number: self.headers.len() + 1 })?;
        if self.version == Some(Version::V1_0) {
            // 1.0 pads values in its own examples (`destination: /queue/a`); 1.1 and 1.2 forbid trimming.
            (name, value) = (trim(name), trim(value));
        }
        if name.is_empty() {
            return Err(DecodeError::EmptyHeaderName);
        }
        self.headers
            .push_escaped(name, value, rules)
            .map_err(|_| DecodeError::UndefinedEscape { name: excerpt(name.as_bytes()) })
    }

    /// How the body of the frame whose headers are complete is delimited.
    fn body_state(&self) -> Result<State, DecodeError> {
        let Some(value) = self.headers.get("content-length") else { return Ok(State::UntilNul) };
        let digits = if matches!(self.version, None | Some(Version::V1_0)) { trim(value) } else { value };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DecodeError::BadContentLength { value: excerpt(value.as_bytes()) });
        }
        // All digits, so the only failure left is a number beyond usize.
        match digits.parse::<usize>() {
            Ok(size) if size <= self.limits.body => Ok(State::Sized(size)),
            _ => Err(DecodeError::BodyTooLong { max: self.limits.body }),
        }
    }

    fn finish(&mut self, body: Bytes) -> Item {
        self.state = State::Between { after_cr: false };
        self.head_octets = 0;
        Item::Frame(Frame { command: self.command, headers: std::mem::take(&mut self.headers), body })
    }
}

fn take(input: &mut &[u8], count: usize) {
    *input = input.get(count..).unwrap_or_default();
}

fn strip_cr(line: &[u8], crlf: bool) -> &[u8] {
    line.strip_suffix(b"\r").filter(|_| crlf).unwrap_or(line)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
