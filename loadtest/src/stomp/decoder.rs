//! Frames out of a byte stream. Message borders of the WebSocket mean nothing: a frame may be cut anywhere, and
//! several may share one message.

use super::frame::{Frame, escapes};

/// Most bytes of one frame that are kept while its end has not come.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
/// Most headers of one frame.
pub const MAX_HEADERS: usize = 64;

/// Why bytes are not STOMP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_FRAME_BYTES`] without an end.
    #[error("frame longer than {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_HEADERS`].
    #[error("more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// Command or headers are not UTF-8.
    #[error("headers are not UTF-8")]
    NotUtf8,
    /// A header line without a colon.
    #[error("header without a colon: {0:?}")]
    NoColon(String),
    /// A backslash followed by something that STOMP 1.2 does not define, which is fatal there.
    #[error("undefined escape in {0:?}")]
    BadEscape(String),
    /// `content-length` is not a number, or the byte after the body is not NUL.
    #[error("content-length does not fit the frame")]
    BadLength,
    /// The line where a command belongs is empty or missing.
    #[error("no command")]
    NoCommand,
}

/// An incremental decoder: [`push`](Self::push) what came, then take frames with [`next`](Self::next) until `None`.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that are used up; they are dropped at the next push.
    used: usize,
}

impl Decoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what came from the wire.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes come. Line ends between frames (heart-beats) are skipped.
    ///
    /// # Errors
    /// What came is not STOMP; the stream is then of no further use.
    #[expect(clippy::should_implement_trait, reason = "not an iterator: None means not yet")]
    pub fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        while matches!(self.buffer.get(self.used), Some(b'\n' | b'\r')) {
            self.used += 1;
        }
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        match parse(rest)? {
            Some((frame, length)) => {
                self.used += length;
                Ok(Some(frame))
            }
            None if rest.len() > MAX_FRAME_BYTES => Err(DecodeError::TooLong),
            None => Ok(None),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>, DecodeError> {
    let Some((command, mut at)) = line(bytes, 0)? else { return Ok(None) };
    if command.is_empty() {
        return Err(DecodeError::NoCommand);
    }
    let mut frame = Frame::new(command);
    loop {
        let Some((text, after)) = line(bytes, at)? else { return Ok(None) };
        at = after;
        if text.is_empty() {
            break;
        }
        if frame.headers.len() == MAX_HEADERS {
            return Err(DecodeError::TooManyHeaders);
        }
        let (name, value) = text.split_once(':').ok_or_else(|| DecodeError::NoColon(text.to_owned()))?;
        let header = if escapes(command) {
            (unescape(name)?, unescape(value)?)
        } else {
            (name.to_owned(), value.to_owned())
        };
        frame.headers.push(header);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let length = match frame.header("content-length") {
        Some(text) => {
            let length: usize = text.trim().parse().map_err(|_| DecodeError::BadLength)?;
            if length > MAX_FRAME_BYTES {
                return Err(DecodeError::TooLong);
            }
            match rest.get(length) {
                None => return Ok(None),
                Some(0) => length,
                Some(_) => return Err(DecodeError::BadLength),
            }
        }
        None => match rest.iter().position(|byte| *byte == 0) {
            None => return Ok(None),
            Some(length) => length,
        },
    };
    frame.body = rest.get(..length).unwrap_or_default().to_vec();
    Ok(Some((frame, at + length + 1)))
}

/// The line that starts at `at`, without its end, and where the next one starts.
fn line(bytes: &[u8], at: usize) -> Result<Option<(&str, usize)>, DecodeError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let text = rest.get(..end).unwrap_or_default();
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| DecodeError::NotUtf8)?;
    Ok(Some((text, at + end + 1)))
}

fn unescape(text: &str) -> Result<String, DecodeError> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        out.push(match chars.next() {
            Some('\\') => '\\',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('c') => ':',
            _ => return Err(DecodeError::BadEscape(text.to_owned())),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(bytes: &[u8]) -> Result<Vec<Frame>, DecodeError> {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        let mut out = Vec::new();
        while let Some(frame) = decoder.next()? {
            out.push(frame);
        }
        Ok(out)
    }

    #[test]
    fn reads_frames_with_heart_beats_crlf_and_nul_in_the_body() {
        let bytes = b"\n\r\nMESSAGE\r\nseq:7\r\nsubject:a\\cb\\\\n\r\ncontent-length:3\r\n\r\nx\0y\0\nRECEIPT\nreceipt-id:r:1\n\n\0";
        let got = frames(bytes).unwrap();
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].number("seq"), got[0].header("subject")), (Some(7), Some("a:b\\n")));
        assert_eq!(got[0].body, b"x\0y");
        assert_eq!(got[1].header("receipt-id"), Some("r:1"));
    }

    #[test]
    fn the_first_of_repeated_headers_counts() {
        assert_eq!(frames(b"MESSAGE\nfoo:new\nfoo:old\n\n\0").unwrap()[0].header("foo"), Some("new"));
    }

    #[test]
    fn refuses_what_is_not_stomp() {
        assert_eq!(frames(b"MESSAGE\nno colon\n\n\0"), Err(DecodeError::NoColon("no colon".into())));
        assert_eq!(frames(b"MESSAGE\na:\\t\n\n\0"), Err(DecodeError::BadEscape("\\t".into())));
        assert_eq!(frames(b"MESSAGE\ncontent-length:1\n\nab\0"), Err(DecodeError::BadLength));
        assert_eq!(frames(b"MESSAGE\ncontent-length:99999999999\n\n"), Err(DecodeError::TooLong));
        assert_eq!(frames(&vec![b'x'; MAX_FRAME_BYTES + 1]), Err(DecodeError::TooLong));
        let many = format!("MESSAGE\n{}\n\0", "a:b\n".repeat(MAX_HEADERS + 1));
        assert_eq!(frames(many.as_bytes()), Err(DecodeError::TooManyHeaders));
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let header = ("[a-z:\\\\\r\n]{1,8}", "[ -~\\\\:\r\nä☃]{0,16}")
            .prop_filter("the encoder owns content-length", |(name, _)| name != "content-length");
        ("[A-Z]{3,9}", prop::collection::vec(header, 0..8), prop::collection::vec(any::<u8>(), 0..200))
            .prop_filter("CONNECT is not escaped", |(command, _, _)| escapes(command))
            .prop_map(|(command, headers, body)| Frame { command, headers, body })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_however_it_is_cut(all in prop::collection::vec(any_frame(), 1..5), cut in 1usize..50) {
            let bytes: Vec<u8> = all.iter().flat_map(Frame::encode).collect();
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(mut frame) = decoder.next().unwrap() {
                    frame.headers.retain(|(name, _)| name != "content-length");
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, all);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = frames(&bytes);
        }

        #[test]
        fn nothing_near_a_frame_makes_it_panic(text in "[A-Z]{0,4}\n{0,2}(content-length:[0-9]{0,22}\n|[a-c:\\\\]{0,6}\r?\n){0,4}\n?[\0a]{0,9}") {
            let _ = frames(text.as_bytes());
        }
    }
}
