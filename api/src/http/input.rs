//! What clients may send: each type with its limits, as the domain has them, and its way in.

use super::schema::{WHOLE_MAX, string, whole};
use poem_openapi::registry::MetaSchema;
use serde_json::Value;
use uuid::Uuid;
use verbatim_domain::{
    MemberId, RoomId,
    text::{
        DISPLAY_NAME_MAX, DisplayName, EMAIL_MAX, Email, IDEMPOTENCY_KEY_MAX, IdempotencyKey,
        MESSAGE_BODY_MAX, MessageBody, PASSWORD_MAX, PASSWORD_MIN, Password, ROOM_NAME_MAX, RoomName,
    },
};

/// A value of a request: a field of the body, a parameter or a header. Errors are sentences that begin after the
/// field's name and never repeat the value.
pub(crate) trait Input: Sized + Send + 'static {
    /// Whether it must be there.
    const REQUIRED: bool = true;

    /// Its schema, always inline.
    fn schema() -> MetaSchema;

    /// Takes it from JSON.
    fn json(value: Value) -> Result<Self, String>;

    /// Takes it from a parameter or header.
    fn text(text: &str) -> Result<Self, String>;

    /// What it is when it is not there.
    fn absent() -> Result<Self, String> {
        Err("is required".to_owned())
    }
}

impl<T: Input> Input for Option<T> {
    const REQUIRED: bool = false;

    fn schema() -> MetaSchema {
        T::schema()
    }

    fn json(value: Value) -> Result<Self, String> {
        T::json(value).map(Some)
    }

    fn text(text: &str) -> Result<Self, String> {
        T::text(text).map(Some)
    }

    fn absent() -> Result<Self, String> {
        Ok(None)
    }
}

/// Implements [`Input`] for what is text in JSON as well as in parameters.
macro_rules! textual {
    ($($type:ty: $schema:expr, $parse:expr;)+) => {
        $(impl Input for $type {
            fn schema() -> MetaSchema {
                $schema
            }

            fn json(value: Value) -> Result<Self, String> {
                match value {
                    Value::String(text) => Self::text(&text),
                    _ => Err("must be a string".to_owned()),
                }
            }

            fn text(text: &str) -> Result<Self, String> {
                let parse: fn(&str) -> Result<Self, String> = $parse;
                parse(text)
            }
        })+
    };
}

fn limited(min: usize, max: usize, example: &str) -> MetaSchema {
    MetaSchema { min_length: Some(min), max_length: Some(max), ..string(None, example) }
}

/// One line: no control characters and no bidirectional overrides, and something other than white space.
const NAME_PATTERN: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]",
    r"[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$",
);

/// Not blank. NUL is refused, too, but a pattern that says so takes generators of test cases ages at this length.
const BODY_PATTERN: &str = r"\S";

fn patterned(pattern: &str, schema: MetaSchema) -> MetaSchema {
    MetaSchema { pattern: Some(pattern.to_owned()), ..schema }
}

/// Only the hyphenated form, as the document says: one id has one spelling.
fn hyphenated(text: &str) -> Result<Uuid, String> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == uuid::fmt::Hyphenated::LENGTH => Ok(id),
        _ => Err("must be a UUID".to_owned()),
    }
}

textual! {
    DisplayName: patterned(NAME_PATTERN, limited(1, DISPLAY_NAME_MAX, "Ada Lovelace")),
        |text| Self::parse(text).map_err(|error| error.to_string());
    RoomName: patterned(NAME_PATTERN, limited(1, ROOM_NAME_MAX, "Analytical engines")),
        |text| Self::parse(text).map_err(|error| error.to_string());
    MessageBody: patterned(BODY_PATTERN, limited(1, MESSAGE_BODY_MAX, "Good morning!")),
        |text| Self::parse(text).map_err(|error| error.to_string());
    Email: MetaSchema { format: Some("email"), ..limited(3, EMAIL_MAX, "ada@example.org") },
        |text| Self::parse(text).map_err(|error| error.to_string());
    Password: MetaSchema {
            format: Some("password"),
            write_only: true,
            ..limited(PASSWORD_MIN, PASSWORD_MAX, "correct horse battery")
        },
        |text| Self::parse(text).map_err(|error| error.to_string());
    IdempotencyKey: patterned(r"^[\x21-\x7e]+$", limited(1, IDEMPOTENCY_KEY_MAX, "7f0c1d7e-send-1")),
        |text| Self::parse(text).map_err(|error| error.to_string());
    MemberId: string(Some("uuid"), "0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11"),
        |text| hyphenated(text).map(Self::from_uuid);
    RoomId: string(Some("uuid"), "0198c2f4-8a1d-7c52-b1aa-4b7e2d90c3f2"),
        |text| hyphenated(text).map(Self::from_uuid);
    MemberRef: patterned(
            "^(me|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$",
            string(None, "me"),
        ),
        |text| match text {
            "me" => Ok(Self::Me),
            _ => hyphenated(text)
                .map(|id| Self::Id(MemberId::from_uuid(id)))
                .map_err(|_| "must be a UUID or `me`".to_owned()),
        };
    ProjectionName: patterned("^[a-z_]{1,64}$", string(None, "rooms")),
        |text| {
            let fits = (1..=64).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if fits { Ok(Self(text.to_owned())) } else { Err("must match ^[a-z_]{1,64}$".to_owned()) }
        };
}

/// A member by id, or whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberRef {
    /// `me`
    Me,
    /// Somebody, maybe oneself.
    Id(MemberId),
}

/// The name of a projection, known or not.
pub(crate) struct ProjectionName(pub(crate) String);

/// Text of `MIN` to `MAX` characters that means something elsewhere only: a cursor, a token, a password to compare.
/// It has no `Debug`, for it may be secret.
pub(crate) struct Text<const MIN: usize, const MAX: usize>(pub(crate) String);

impl<const MIN: usize, const MAX: usize> Input for Text<MIN, MAX> {
    fn schema() -> MetaSchema {
        MetaSchema { min_length: Some(MIN), max_length: Some(MAX), ..MetaSchema::new("string") }
    }

    fn json(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::text(&text),
            _ => Err("must be a string".to_owned()),
        }
    }

    fn text(text: &str) -> Result<Self, String> {
        match text.chars().count() {
            length if length < MIN => Err(format!("must be at least {MIN} characters long")),
            length if length > MAX => Err(format!("must be at most {MAX} characters long")),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// The number of a message.
pub(crate) type Seq = Whole<1, WHOLE_MAX>;
/// The number of a message, or 0 for before the first.
pub(crate) type SeqOrZero = Whole<0, WHOLE_MAX>;
/// A position in the log.
pub(crate) type Position = Whole<0, WHOLE_MAX>;

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    fn check(number: Option<u64>) -> Result<Self, String> {
        match number {
            Some(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(format!("must be a whole number from {MIN} to {MAX}")),
        }
    }
}

impl<const MIN: u64, const MAX: u64> Input for Whole<MIN, MAX> {
    fn schema() -> MetaSchema {
        whole(MIN, MAX)
    }

    fn json(value: Value) -> Result<Self, String> {
        // 5.0 is the whole number 5 (JSON Schema, section 6.1.1: a number with a zero fractional part is an integer).
        #[expect(clippy::cast_precision_loss, reason = "the limit is exact in an f64")]
        let fraction = value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..=WHOLE_MAX as f64).contains(x));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
        let whole = fraction.map(|x| x as u64);
        Self::check(value.as_u64().or(whole))
    }

    fn text(text: &str) -> Result<Self, String> {
        // `parse` would take a leading plus sign, too.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        Self::check(if digits { text.parse().ok() } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn numbers_keep_their_limits() {
        type Limit = Whole<1, 200>;
        for good in [json!(1), json!(200), json!(50.0)] {
            assert!(Limit::json(good).is_ok());
        }
        for bad in [json!(0), json!(201), json!(1.5), json!(-1), json!("1"), json!(null), json!(1e300)] {
            assert!(Limit::json(bad).is_err());
        }
        for bad in ["", "0", "201", "+1", "1.0", " 1", "0x1", "99999999999999999999999"] {
            assert!(Limit::text(bad).is_err(), "{bad}");
        }
        assert_eq!(Limit::text("007"), Ok(Whole(7)));
    }

    #[test]
    fn an_id_has_one_form() {
        let id = "0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11";
        assert!(MemberId::text(id).is_ok());
        for other in [id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"), "me".to_owned()] {
            assert!(MemberId::text(&other).is_err(), "{other}");
        }
        assert_eq!(MemberRef::text("me"), Ok(MemberRef::Me));
        assert!(MemberRef::text("you").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_taken_or_refused(text in ".*", number in any::<f64>()) {
            let _ = (RoomName::text(&text).is_ok(), Email::text(&text).is_ok(), Seq::text(&text).is_ok());
            let _ = (MemberRef::text(&text).is_ok(), Seq::json(json!(number)).is_ok());
            prop_assert_eq!(Text::<1, 5>::text(&text).is_ok(), (1..=5).contains(&text.chars().count()));
        }

        #[test]
        fn a_refusal_never_repeats_the_value(text in "[a-z]{20,40}") {
            let Err(error) = Seq::text(&text) else { return Err(TestCaseError::fail("letters are no number")) };
            prop_assert!(!error.contains(&text));
        }
    }
}
