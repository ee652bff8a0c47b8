//! How times are written for clients: RFC 3339 in UTC, always with six fractional digits and `Z`, on every transport.
//! One width means that times compare as texts do.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use verbatim_domain::Timestamp;

/// A time as clients see it, e.g. `2026-03-01T12:00:00.000001Z`.
#[must_use]
pub fn format(time: Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// For `#[serde(with = "…")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*time))
}

/// For `#[serde(with = "…")]`.
///
/// # Errors
/// The text is not a time in RFC 3339.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    DateTime::parse_from_rfc3339(&text).map(|time| time.with_timezone(&Utc)).map_err(D::Error::custom)
}

/// The same for times that may be absent.
pub mod optional {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    /// For `#[serde(with = "…")]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with = "…")]`.
    ///
    /// # Errors
    /// The text is not a time in RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Time(#[serde(with = "super")] Timestamp);
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Times {
        #[serde(with = "super")]
        at: Timestamp,
        #[serde(with = "super::optional")]
        then: Option<Timestamp>,
    }

    #[test]
    fn times_have_six_digits_also_when_they_are_round() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let times = Times { at, then: None };
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(json, r#"{"at":"2023-11-14T22:13:20.000000Z","then":null}"#);
        assert_eq!(serde_json::from_str::<Times>(&json).unwrap(), times);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let at = DateTime::from_timestamp(1_700_000_000, 123_456_000).unwrap();
        let times = Times { at, then: Some(at) };
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<Times>(&json).unwrap(), times);
        assert!(serde_json::from_str::<Times>(r#"{"at":"yesterday","then":null}"#).is_err());
    }
}
