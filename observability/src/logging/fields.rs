//! The fields of a log line with their types: `log-fields.json`, which the mapping of the index is tested against.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, sync::LazyLock};

/// What a field holds, by the name that Elasticsearch has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A whole number of 8 bits.
    Byte,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    Long,
    /// Text that is looked up as a whole.
    Keyword,
    /// Text that is searched by its words.
    Text,
    /// A time, RFC 3339.
    DateNanos,
}

impl FieldType {
    pub(super) fn fits(self, value: &Value) -> bool {
        let number = value.as_i64();
        match self {
            Self::Byte => number.is_some_and(|number| i8::try_from(number).is_ok()),
            Self::Short => number.is_some_and(|number| i16::try_from(number).is_ok()),
            Self::Integer => number.is_some_and(|number| i32::try_from(number).is_ok()),
            Self::Long => number.is_some(),
            Self::Keyword | Self::Text | Self::DateNanos => value.is_string(),
        }
    }
}

/// All fields there are. A field always has this type: an index with a strict mapping refuses any other.
pub static FIELDS: LazyLock<BTreeMap<String, FieldType>> = LazyLock::new(|| {
    // A test reads it; were it broken, lines of libraries would lose their fields, and nothing else.
    serde_json::from_str(include_str!("../../log-fields.json")).unwrap_or_default()
});

/// A JSON object as it is written: a name may be there twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// Checks that a log line is what the index expects.
///
/// # Errors
/// What is wrong with it.
pub fn check_line(line: &str) -> Result<Map<String, Value>, String> {
    let Pairs(pairs) = serde_json::from_str(line).map_err(|error| format!("no JSON object: {error}"))?;
    let count = pairs.len();
    let fields: Map<String, Value> = pairs.into_iter().collect();
    if fields.len() != count {
        return Err("a field is there twice".to_owned());
    }
    for (name, value) in &fields {
        match FIELDS.get(name) {
            None => return Err(format!("there is no field {name}")),
            Some(kind) if !kind.fits(value) => return Err(format!("{name} is no {kind:?}: {value}")),
            Some(_) => {}
        }
    }
    for name in ["v", "name", "hostname", "pid", "level", "time", "msg"] {
        if !fields.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_has_plain_names() {
        assert!(FIELDS.len() > 30);
        assert_eq!(check_line(r#"{"seq":1,"seq":1}"#), Err("a field is there twice".to_owned()));
        assert!(FIELDS.keys().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
