//! Trace contexts: one trace from the client's request to the push that follows from it.
//!
//! W3C Trace Context (Level 2): <https://www.w3.org/TR/trace-context-2/>. Section numbers below are of that document.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use uuid::Uuid;

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// The caller may have recorded this trace, so it is worth recording here (section 3.2.2.5.1).
const SAMPLED: u8 = 1;
/// At least the right half of the trace id is random (section 3.2.2.5.2).
const RANDOM: u8 = 2;

/// A batch of no more events than this has a line in the log for each of them at every stage; of a larger one only the
/// sampled events have, and the rest share one line. So everything is told on a quiet day, and a busy one is not slowed.
pub const EVENT_LINES_MAX: usize = 8;

/// One step of a trace: a request, a frame, a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

/// Bytes as lowercase hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        let digits = text.get(..self.0.len() * 2).unwrap_or_default();
        f.write_str(std::str::from_utf8(digits).unwrap_or_default())
    }
}

/// Reads lowercase hexadecimal digits; upper case is not allowed (section 3.2.2).
fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// The last eight bytes of a UUIDv7, which are random but for two bits, and never all zero.
fn span_id(id: Uuid) -> [u8; 8] {
    id.as_u64_pair().1.to_be_bytes()
}

impl TraceContext {
    /// Begins a trace. The right half of a UUIDv7 is random but for its first two bits, more than the seven bytes that
    /// section 3.2.2.5.2 asks for.
    #[must_use]
    pub fn begin(id: Uuid, sampled: bool) -> Self {
        let flags = if sampled { RANDOM | SAMPLED } else { RANDOM };
        Self { trace_id: id.into_bytes(), span_id: span_id(id), flags }
    }

    /// Reads a `traceparent` header. What is not valid is to be ignored, and a trace begun anew (section 3.2.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let version: [u8; 1] = from_hex(text.get(..2)?)?;
        // Later versions may add parts at the end, and are read as far as this one goes (section 4.3).
        let whole = match version {
            [0] => text.len() == LENGTH,
            [255] => false,
            _ => text.len() == LENGTH || text.get(LENGTH) == Some(&b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        if !whole || !dashes {
            return None;
        }
        let context = Self {
            trace_id: from_hex(text.get(3..35)?)?,
            span_id: from_hex(text.get(36..52)?)?,
            flags: from_hex::<1>(text.get(53..55)?)?[0] & (SAMPLED | RANDOM),
        };
        (context.trace_id != [0; 16] && context.span_id != [0; 8]).then_some(context)
    }

    /// The next step of the same trace.
    #[must_use]
    pub fn child(self, id: Uuid) -> Self {
        Self { span_id: span_id(id), ..self }
    }

    /// Whether this trace is worth more than its lines at INFO.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The whole trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display + '_ {
        Hex(&self.trace_id)
    }

    /// This step: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> impl fmt::Display + '_ {
        Hex(&self.span_id)
    }

    /// The whole trace.
    #[must_use]
    pub fn trace_bytes(&self) -> [u8; 16] {
        self.trace_id
    }

    /// This step.
    #[must_use]
    pub fn span_bytes(&self) -> [u8; 8] {
        self.span_id
    }
}

/// A `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags)
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("no traceparent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
    }

    #[test]
    fn later_versions_are_read_as_far_as_this_one_goes() {
        let same = TraceContext::parse(GOOD);
        for good in [
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fd",
        ] {
            assert_eq!(TraceContext::parse(good), same, "{good}");
        }
    }

    #[test]
    fn what_is_not_valid_is_ignored() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47ä-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = TraceContext::parse(GOOD).unwrap();
        let child = parent.child(Uuid::from_u128(7));
        assert_eq!((child.trace_bytes(), child.is_sampled()), (parent.trace_bytes(), true));
        assert_eq!(child.span_id().to_string(), "0000000000000007");
    }

    #[test]
    fn a_new_trace_says_that_it_is_random() {
        let id = Uuid::parse_str("0198c2f4-6f0e-7000-8000-00000000002a").unwrap();
        assert_eq!(
            TraceContext::begin(id, false).to_string(),
            "00-0198c2f46f0e7000800000000000002a-800000000000002a-02"
        );
        assert!(TraceContext::begin(id, true).is_sampled());
    }

    #[test]
    fn json_holds_the_header() {
        let context = TraceContext::parse(GOOD).unwrap();
        let json = serde_json::to_string(&context).unwrap();
        assert_eq!(json, format!("\"{GOOD}\""));
        assert_eq!(serde_json::from_str::<TraceContext>(&json).unwrap(), context);
        assert!(serde_json::from_str::<TraceContext>("\"00\"").is_err());
    }
}
