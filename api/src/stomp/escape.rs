//! Header escaping, per version (Value Encoding in 1.1 and 1.2; 1.0 has none).

use super::frame::{Command, Version};

/// Which escapes a frame's headers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// None: 1.0, and `CONNECT`, `STOMP` and `CONNECTED` in every version.
    None,
    /// `\n`, `\c`, `\\`.
    V1_1,
    /// `\r`, `\n`, `\c`, `\\`.
    V1_2,
}

/// A backslash followed by something that the version does not define: a fatal protocol error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndefinedEscape(
    /// The character after the backslash; `None` if the text ends there.
    pub Option<char>,
);

/// Whether a text is a header's name or its value: in a name, an unescapable colon would move the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    Value,
}

impl Escapes {
    /// The rules for frames of this command once `version` is agreed on.
    #[must_use]
    pub const fn of(version: Version, command: Command) -> Self {
        match version {
            Version::V1_1 if command.escapes_headers() => Self::V1_1,
            Version::V1_2 if command.escapes_headers() => Self::V1_2,
            _ => Self::None,
        }
    }

    /// Appends `text` with its escapes resolved.
    ///
    /// # Errors
    /// An escape that these rules do not define. `out` may then hold part of the text.
    pub fn unescape_into(self, text: &str, out: &mut String) -> Result<(), UndefinedEscape> {
        if self == Self::None {
            out.push_str(text);
            return Ok(());
        }
        let mut rest = text;
        while let Some((plain, escaped)) = rest.split_once('\\') {
            out.push_str(plain);
            let mut chars = escaped.chars();
            out.push(match chars.next() {
                Some('n') => '\n',
                Some('c') => ':',
                Some('\\') => '\\',
                Some('r') if self == Self::V1_2 => '\r',
                other => return Err(UndefinedEscape(other)),
            });
            rest = chars.as_str();
        }
        out.push_str(rest);
        Ok(())
    }

    /// Appends `text` escaped. An octet that these rules cannot express (LF without escapes, a NUL in any version,
    /// a colon in an unescaped name) is replaced, so that no value can ever add a header or end the frame.
    pub(super) fn escape_into(self, text: &str, part: Part, out: &mut Vec<u8>) {
        let bytes = text.as_bytes();
        let mut copied = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let Some(replacement) = self.replacement(*byte, part) else { continue };
            out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
            out.extend_from_slice(replacement);
            copied = at + 1;
        }
        out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    }

    const fn replacement(self, byte: u8, part: Part) -> Option<&'static [u8]> {
        // NUL is legal in the grammar, but clients (webstomp-client) and this decoder end the frame there.
        match (byte, self) {
            (0, _) => Some(b" "),
            (b'\n', Self::None) => Some(b" "),
            // Without escapes a receiver that takes CRLF for a line end would lose a CR, and 1.0 has no use for it.
            (b'\r', Self::None) => Some(b" "),
            (b':', Self::None) => match part {
                Part::Name => Some(b"_"),
                Part::Value => None,
            },
            (_, Self::None) => None,
            (b'\n', _) => Some(b"\\n"),
            (b':', _) => Some(b"\\c"),
            (b'\\', _) => Some(b"\\\\"),
            // 1.1 defines no escape for CR: it is an ordinary octet there.
            (b'\r', Self::V1_2) => Some(b"\\r"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescape(rules: Escapes, text: &str) -> Result<String, UndefinedEscape> {
        let mut out = String::new();
        rules.unescape_into(text, &mut out).map(|()| out)
    }

    fn escape(rules: Escapes, text: &str) -> String {
        let mut out = Vec::new();
        rules.escape_into(text, Part::Value, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// 1.2, Value Encoding: the four transformations.
    #[test]
    fn v1_2_knows_four_escapes() {
        assert_eq!(unescape(Escapes::V1_2, r"a\rb\nc\cd\\e").unwrap(), "a\rb\nc:d\\e");
        assert_eq!(escape(Escapes::V1_2, "a\rb\nc:d\\e"), r"a\rb\nc\cd\\e");
        assert_eq!(unescape(Escapes::V1_2, r"\\n").unwrap(), r"\n");
    }

    /// 1.1, Value Encoding: "Undefined escape sequences such as \r MUST be treated as a fatal protocol error."
    #[test]
    fn v1_1_has_no_escape_for_carriage_return() {
        assert_eq!(unescape(Escapes::V1_1, r"\r"), Err(UndefinedEscape(Some('r'))));
        assert_eq!(unescape(Escapes::V1_1, r"a\nb\cc\\d").unwrap(), "a\nb:c\\d");
        assert_eq!(escape(Escapes::V1_1, "a\r:"), "a\r\\c");
    }

    /// 1.2, Value Encoding: "Undefined escape sequences such as \t MUST be treated as a fatal protocol error."
    #[test]
    fn undefined_escapes_are_errors() {
        assert_eq!(unescape(Escapes::V1_2, r"\t"), Err(UndefinedEscape(Some('t'))));
        assert_eq!(unescape(Escapes::V1_2, "a\\"), Err(UndefinedEscape(None)));
        assert_eq!(unescape(Escapes::V1_2, "\\é"), Err(UndefinedEscape(Some('é'))));
    }

    /// 1.0 has no escapes, and 1.2, Value Encoding, exempts CONNECT and CONNECTED.
    #[test]
    fn without_escapes_a_backslash_is_itself_and_nothing_can_be_injected() {
        assert_eq!(unescape(Escapes::None, r"\t\n").unwrap(), r"\t\n");
        assert_eq!(escape(Escapes::None, "a\\:b\nc\0"), "a\\:b c ");
        for version in Version::ALL {
            for command in [Command::Connect, Command::Stomp, Command::Connected] {
                assert_eq!(Escapes::of(version, command), Escapes::None);
            }
        }
        assert_eq!(Escapes::of(Version::V1_0, Command::Send), Escapes::None);
        assert_eq!(Escapes::of(Version::V1_1, Command::Send), Escapes::V1_1);
        assert_eq!(Escapes::of(Version::V1_2, Command::Error), Escapes::V1_2);
    }
}
