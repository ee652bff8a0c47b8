//! How answers are written in the OpenAPI document.
//!
//! poem-openapi's `Object` derive would need a second copy of every view, for it can't be put on types of another crate,
//! and leaves nullable fields out of `required` though they are always sent. [`describe!`] puts a schema beside a type
//! that serde writes, and does not compile unless it names every field with its type.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde_json::{Value, json};
use verbatim_domain::{
    MemberId, MessageId, RoomId, Timestamp,
    member::MemberRole,
    room::{RoomKind, RoomRole},
};

/// Largest whole number that every JSON reader takes exactly: 2^53 − 1 (RFC 8259, section 6).
pub(crate) const WHOLE_MAX: u64 = (1 << 53) - 1;

/// A type that answers are made of.
pub(crate) trait Schema {
    /// Its schema, or a reference to it.
    fn schema() -> MetaSchemaRef;

    /// Puts the schemas it refers to into the document.
    fn register(_: &mut Registry) {}
}

pub(crate) fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

/// A string with an example.
pub(crate) fn string(format: Option<&'static str>, example: &str) -> MetaSchema {
    MetaSchema { format, example: Some(json!(example)), ..MetaSchema::new("string") }
}

/// A whole number between two others.
pub(crate) fn whole(min: u64, max: u64) -> MetaSchema {
    // Both limits are at most 2^53 - 1, so nothing is lost.
    #[expect(clippy::cast_precision_loss, reason = "the limits are exact in an f64")]
    let (minimum, maximum) = (Some(min as f64), Some(max as f64));
    MetaSchema { minimum, maximum, ..MetaSchema::new_with_format("integer", "int64") }
}

/// An object with these properties: name, schema, description, whether it is always there.
pub(crate) fn object(
    about: &'static str,
    properties: Vec<(&'static str, MetaSchemaRef, &'static str, bool)>,
) -> MetaSchema {
    MetaSchema {
        description: Some(about.trim()),
        required: properties.iter().filter(|property| property.3).map(|property| property.0).collect(),
        properties: properties
            .into_iter()
            .map(|(name, schema, about, _)| {
                (name, schema.merge(MetaSchema { description: Some(about.trim()), ..MetaSchema::ANY }))
            })
            .collect(),
        ..MetaSchema::new("object")
    }
}

/// Gives a type its schema: the name in the document, what it is, and its fields with their types.
macro_rules! describe {
    ($type:ident as $name:literal, $about:literal { $($field:ident: $ty:ty = $doc:literal),+ $(,)? }) => {
        impl $crate::http::schema::Schema for $type {
            fn schema() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Reference($name.to_owned())
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                // Does not compile unless each field is there, and of this type.
                let _ = |value: &$type| {
                    let $type { $($field),+ } = value;
                    $(let _: &$ty = $field;)+
                };
                registry.create_schema::<Self, _>($name.to_owned(), |registry| {
                    $(<$ty as $crate::http::schema::Schema>::register(registry);)+
                    $crate::http::schema::object($about, vec![$((
                        stringify!($field),
                        <$ty as $crate::http::schema::Schema>::schema(),
                        $doc,
                        true,
                    )),+])
                });
            }
        }
    };
}
pub(crate) use describe;

impl<T: Schema> Schema for Option<T> {
    fn schema() -> MetaSchemaRef {
        T::schema().merge(MetaSchema { nullable: true, ..MetaSchema::ANY })
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema { items: Some(Box::new(T::schema())), ..MetaSchema::new("array") })
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

macro_rules! plain {
    ($($type:ty => $schema:expr),+ $(,)?) => {
        $(impl Schema for $type {
            fn schema() -> MetaSchemaRef {
                inline($schema)
            }
        })+
    };
}

fn one_of(names: &[&str]) -> MetaSchema {
    MetaSchema {
        enum_items: names.iter().map(|name| Value::from(*name)).collect(),
        ..MetaSchema::new("string")
    }
}

plain! {
    String => MetaSchema::new("string"),
    bool => MetaSchema::new("boolean"),
    u32 => whole(0, u64::from(u32::MAX)),
    u64 => whole(0, WHOLE_MAX),
    MemberId => string(Some("uuid"), "0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11"),
    RoomId => string(Some("uuid"), "0198c2f4-8a1d-7c52-b1aa-4b7e2d90c3f2"),
    MessageId => string(Some("uuid"), "0198c2f5-01c7-7e8f-8f14-6ad2b9e07755"),
    Timestamp => string(Some("date-time"), "2026-03-01T12:00:00.000001Z"),
    RoomKind => one_of(&["group", "direct"]),
    RoomRole => one_of(&["owner", "member"]),
    MemberRole => one_of(&["admin", "member"]),
}
