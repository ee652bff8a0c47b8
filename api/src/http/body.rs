//! Request bodies: JSON objects that are read field by field, so that an answer names everything that is wrong at once.
//!
//! poem-openapi's own `Json` stops at the first error and does not say which field it was in.

use super::{
    input::Input,
    problem::{ERRORS_MAX, Problem, Wrong},
};
use poem::{Request, RequestBody, Result, error::ReadBodyError, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
};
use serde_json::{Map, Value};

/// Longest body, in bytes: room for the longest message with every character escaped in JSON as `\uXXXX`, save for
/// one of control characters only.
pub const BODY_MAX: usize = 64 * 1024;

/// The fields of a body that are not read yet, and what was wrong with the others.
pub(crate) struct Fields {
    object: Map<String, Value>,
    errors: Vec<Wrong>,
}

impl Fields {
    /// Reads one field; `None` if it is wrong, which is noted.
    pub(crate) fn take<T: Input>(&mut self, name: &'static str) -> Option<T> {
        match self.object.remove(name).map_or_else(T::absent, T::json) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.errors.push(Wrong::new(name, detail));
                None
            }
        }
    }

    fn finish<T>(mut self, value: Option<T>) -> Result<T, Problem> {
        let left = ERRORS_MAX.saturating_sub(self.errors.len());
        for (name, _) in self.object.into_iter().take(left) {
            self.errors.push(Wrong::new(name, "is not a field of this request"));
        }
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.errors)),
        }
    }
}

/// A body made of fields. Implemented by [`body!`].
pub(crate) trait Shape: Sized + Send + 'static {
    /// Name of its schema.
    const NAME: &'static str;

    /// Its schema.
    fn meta() -> MetaSchema;

    /// Reads every field, also after one that is wrong.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// Defines a request body: a struct of [`Input`]s whose doc comments go into the OpenAPI document. `at least n` says there how
/// many fields it must have.
macro_rules! body {
    ($(#[doc = $doc:literal])+ $name:ident $(at least $min:literal)? { $($(#[doc = $about:literal])+ $field:ident: $ty:ty),+ $(,)? }) => {
        $(#[doc = $doc])+
        pub(crate) struct $name {
            $($(#[doc = $about])+ pub(crate) $field: $ty,)+
        }

        impl $crate::http::body::Shape for $name {
            const NAME: &'static str = stringify!($name);

            fn meta() -> poem_openapi::registry::MetaSchema {
                #[allow(unused_mut, reason = "only bodies with a minimum are changed")]
                let mut meta = $crate::http::schema::object(concat!($($doc, "\n"),+), vec![$((
                    stringify!($field),
                    $crate::http::schema::inline(<$ty as $crate::http::input::Input>::schema()),
                    concat!($($about, "\n"),+),
                    <$ty as $crate::http::input::Input>::REQUIRED,
                )),+]);
                $(meta.min_properties = Some($min);)?
                meta
            }

            fn read(fields: &mut $crate::http::body::Fields) -> Option<Self> {
                $(let $field = fields.take::<$ty>(stringify!($field));)+
                Some(Self { $($field: $field?),+ })
            }
        }
    };
}
pub(crate) use body;

/// A request body that was read and is right.
pub(crate) struct Body<T>(pub(crate) T);

/// Reads a body from its bytes.
fn parse<T: Shape>(bytes: &[u8]) -> Result<T, Problem> {
    let value = serde_json::from_slice(bytes).map_err(|error| {
        // Line and column, never what stands there.
        let detail =
            if bytes.is_empty() { "is required".to_owned() } else { format!("is not JSON: {error}") };
        Problem::invalid(vec![Wrong::new("body", detail)])
    })?;
    let Value::Object(object) = value else {
        return Err(Problem::invalid(vec![Wrong::new("body", "must be a JSON object")]));
    };
    let mut fields = Fields { object, errors: Vec::new() };
    let value = T::read(&mut fields);
    fields.finish(value)
}

/// Whether a media type is JSON (RFC 8259, section 11, and the suffix of RFC 6839, section 3.1).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl<'a, T: Shape> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_schema::<T, _>(T::NAME.to_owned(), |_| T::meta());
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchemaRef::Reference(T::NAME.to_owned());
        let content = vec![MetaMediaType { content_type: "application/json", schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        if !request.content_type().is_some_and(is_json) {
            return Err(Problem::unsupported_media_type().into());
        }
        // Refused before a byte is read, if the client says so itself.
        let length = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length > BODY_MAX) {
            return Err(Problem::too_large(BODY_MAX).into());
        }
        let bytes = body.take()?.into_bytes_limit(BODY_MAX).await.map_err(|error| match error {
            ReadBodyError::PayloadTooLarge => Problem::too_large(BODY_MAX).into(),
            other => poem::Error::from(other),
        })?;
        Ok(Self(parse(&bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::input::Whole;
    use proptest::prelude::*;
    use verbatim_domain::text::RoomName;

    body! {
        /// For the tests.
        Sample {
            /// A name.
            name: RoomName,
            /// A number.
            count: Option<Whole<1, 9>>,
        }
    }

    fn errors(json: &str) -> Vec<(String, String)> {
        match parse::<Sample>(json.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(problem) => {
                problem.errors.into_iter().map(|wrong| (wrong.field.into_owned(), wrong.detail)).collect()
            }
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let names: Vec<String> =
            errors(r#"{"count": 10, "colour": "red"}"#).into_iter().map(|(field, _)| field).collect();
        assert_eq!(names, ["name", "count", "colour"]);
    }

    #[test]
    fn what_may_be_absent_may_not_be_null() {
        let sample: Sample = parse(br#"{"name": " a "}"#).unwrap();
        assert_eq!((sample.name.as_str(), sample.count), ("a", None));
        assert_eq!(errors(r#"{"name": "a", "count": null}"#).len(), 1);
    }

    #[test]
    fn a_body_is_an_object_in_json() {
        for bad in ["", "[]", "null", "{", "{\"name\": \"a\"} x", "\u{feff}{}", "\"name\""] {
            assert_eq!(errors(bad).first().map(|(field, _)| field.as_str()), Some("body"), "{bad}");
        }
    }

    #[test]
    fn unknown_fields_are_named_in_bounds() {
        let many: Map<String, Value> =
            (0..100).map(|i| (format!("{i}{}", "x".repeat(1_000)), Value::Null)).collect();
        let errors = errors(&Value::Object(many).to_string());
        assert_eq!(errors.len(), ERRORS_MAX);
        assert!(errors.iter().all(|(field, _)| field.len() <= 64));
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp"] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Sample>(&bytes).is_ok();
        }
    }
}
