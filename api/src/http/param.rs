//! Parameters: in the path, the query and the headers.

use super::{
    input::Input,
    problem::{Problem, Wrong},
    schema::inline,
};
use poem::{Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchemaRef},
};

fn wrong(name: &'static str, detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![Wrong::new(name, detail)])
}

/// Reads a value that may be there once.
fn single<'v, T: Input>(
    name: &'static str,
    mut values: impl Iterator<Item = Option<&'v str>>,
) -> Result<T, Problem> {
    let read = match values.next() {
        None => T::absent(),
        // Bytes that are no text: to pass over them would be to do without what the client asked for.
        Some(None) => Err("must be visible ASCII".to_owned()),
        Some(Some(_)) if values.next().is_some() => Err("is given more than once".to_owned()),
        Some(Some(text)) => T::text(text),
    };
    read.map_err(|detail| wrong(name, detail))
}

/// Reads a query parameter.
pub(super) fn query<T: Input>(request: &Request, name: &'static str) -> Result<T, Problem> {
    let pairs: Vec<(String, String)> = request.params().map_err(|_| wrong(name, "can't be decoded"))?;
    single(name, pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| Some(value.as_str())))
}

/// Reads a header.
pub(super) fn header<T: Input>(request: &Request, name: &'static str) -> Result<T, Problem> {
    single(name, request.headers().get_all(name).iter().map(|value| value.to_str().ok()))
}

/// Implements the extractor of one place. The name is that of the argument, or its `#[oai(name = …)]`.
macro_rules! place {
    ($(#[$doc:meta])* $name:ident, $place:ident, $read:expr) => {
        $(#[$doc])*
        pub(crate) struct $name<T>(pub(crate) T);

        impl<'a, T: Input> ApiExtractor<'a> for $name<T> {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
            const PARAM_IS_REQUIRED: bool = T::REQUIRED;

            type ParamType = T;
            type ParamRawType = T;

            fn param_in() -> Option<MetaParamIn> {
                Some(MetaParamIn::$place)
            }

            fn param_schema_ref() -> Option<MetaSchemaRef> {
                Some(inline(T::schema()))
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                options: ExtractParamOptions<T>,
            ) -> Result<Self> {
                let read: fn(&Request, &'static str) -> Result<T, Problem> = $read;
                Ok(Self(read(request, options.name)?))
            }
        }
    };
}

place! {
    /// A part of the path.
    Segment, Path, |request, name| single(name, request.raw_path_param(name).map(Some).into_iter())
}

place! {
    /// A query parameter.
    Query, Query, query
}

place! {
    /// A header.
    Header, Header, header
}
