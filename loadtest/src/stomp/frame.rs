//! One STOMP frame and its encoding (STOMP 1.2, "STOMP Frames" and "Value Encoding").

/// A frame as it is meant, headers unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `CONNECT`, `SEND`, `MESSAGE` and so on; never empty, no line end in it.
    pub command: String,
    /// Names and values in order; of a repeated name the first one counts.
    pub headers: Vec<(String, String)>,
    /// Any bytes, NUL included when `content-length` goes with it (the encoder sees to that).
    pub body: Vec<u8>,
}

impl Frame {
    /// A frame without headers or body.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// The same frame with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same frame with this body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header that holds a whole number, such as `seq`.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.parse().ok()
    }

    /// The frame's bytes, NUL at the end included. A body gets a `content-length` unless one is there.
    pub fn encode(&self) -> Vec<u8> {
        let escaped = escapes(&self.command);
        let mut out = Vec::with_capacity(96 + 32 * self.headers.len() + self.body.len());
        out.extend_from_slice(self.command.as_bytes());
        out.push(b'\n');
        for (name, value) in &self.headers {
            put(&mut out, name, escaped);
            out.push(b':');
            put(&mut out, value, escaped);
            out.push(b'\n');
        }
        if !self.body.is_empty() && self.header("content-length").is_none() {
            out.extend_from_slice(b"content-length:");
            out.extend_from_slice(self.body.len().to_string().as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(&self.body);
        out.push(0);
        out
    }
}

/// Whether headers of this command are escaped: all but CONNECT and CONNECTED, which stay readable to 1.0 peers.
pub(super) fn escapes(command: &str) -> bool {
    !matches!(command, "CONNECT" | "CONNECTED")
}

fn put(out: &mut Vec<u8>, text: &str, escaped: bool) {
    if !escaped {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b':' => out.extend_from_slice(b"\\c"),
            other => out.push(other),
        }
    }
}
