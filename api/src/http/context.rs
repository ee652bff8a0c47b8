//! What comes with a command or a read beside its content: request id, idempotency key, position to wait for.

use super::{
    input::{Input, Position},
    middleware::RequestId,
    param,
    problem::Problem,
    schema::inline,
};
use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchemaRef},
};
use std::sync::Arc;
use verbatim_application::{App, AppError, Context};
use verbatim_domain::text::IdempotencyKey;

/// Name of the header that holds a log position, in answers to commands and in reads.
pub const POSITION_HEADER: &str = "Verbatim-Position";
/// Name of the header with the client's key for doing something once only.
pub const KEY_HEADER: &str = "Idempotency-Key";

/// The use cases, from the request.
pub(super) fn app(request: &Request) -> Result<&Arc<App>, Problem> {
    // Only a route outside of `http::app` could be without.
    request.data().ok_or_else(|| AppError::internal("a request without its application").into())
}

fn context(request: &Request, idempotency_key: Option<IdempotencyKey>) -> Context {
    let correlation_id = request.data::<RequestId>().map(ToString::to_string);
    Context { correlation_id, trace: request.data().copied(), idempotency_key }
}

/// The context of a command that is harmless to repeat.
pub(crate) struct Plainly(pub(crate) Context);

impl<'a> FromRequest<'a> for Plainly {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self(context(request, None)))
    }
}

/// The context of a command that creates something: with the header `Idempotency-Key`, if it is there.
pub(crate) struct Once(pub(crate) Context);

impl<'a> ApiExtractor<'a> for Once {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(inline(IdempotencyKey::schema()))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self(context(request, param::header(request, KEY_HEADER)?)))
    }
}

/// A read that has waited for the write it must see: named by `?min_position=` or by the header `Verbatim-Position`,
/// which is documented with it (see `document`).
pub(crate) struct Seen;

impl<'a> ApiExtractor<'a> for Seen {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(inline(Position::schema()))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let query: Option<Position> = param::query(request, options.name)?;
        let header: Option<Position> = param::header(request, POSITION_HEADER)?;
        let position = query.into_iter().chain(header).map(|position| position.0).max();
        app(request)?.see(position).await.map_err(Problem::from)?;
        Ok(Self)
    }
}
