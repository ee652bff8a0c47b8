//! Who asks: bearer tokens, and tickets where no header can be set.

use super::{context::app, input::Text, param, problem::Problem};
use poem::{Request, RequestBody, Result, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use tracing::Span;
use verbatim_application::{App, AppError, Caller, ports::AccessClaims};
use verbatim_domain::MemberId;

const BEARER: &str = "bearer";
const TICKET: &str = "ticket";

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1). The scheme's case does not matter
/// (RFC 9110, section 11.1). `None` if there is no such header, or one of another scheme.
#[must_use]
pub fn bearer_token(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header(header::AUTHORIZATION)?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn note(claims: &AccessClaims) {
    Span::current().record("member_id", tracing::field::display(claims.member_id));
}

fn nobody() -> AppError {
    AppError::unauthenticated("missing_token", "this needs `Authorization: Bearer` with an access token")
}

/// Who sends this request, by the access token in its header.
///
/// # Errors
/// `missing_token`, `invalid_token`.
pub fn by_token(app: &App, request: &Request) -> Result<AccessClaims, AppError> {
    let claims = app.authenticate(bearer_token(request).ok_or_else(nobody)?)?;
    note(&claims);
    Ok(claims)
}

/// Who sends this request, by the access token in its header or else by the one-use ticket in its query
/// (`?ticket=`), which is used up. For event streams and WebSockets: a browser can set no header for them.
///
/// # Errors
/// `missing_token`, `invalid_token`, `invalid_ticket`.
pub async fn by_token_or_ticket(app: &App, request: &Request) -> Result<AccessClaims, Problem> {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return Ok(by_token(app, request)?);
    }
    let ticket: Option<Text<1, 512>> = param::query(request, TICKET)?;
    let claims = app.redeem_ticket(&ticket.ok_or_else(nobody)?.0).await?;
    note(&claims);
    Ok(claims)
}

fn register_bearer(registry: &mut Registry) {
    registry.create_security_scheme(
        BEARER,
        MetaSecurityScheme {
            ty: "http",
            description: Some("The access token of `POST /api/v1/auth/login`, a JWT."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        },
    );
}

/// Somebody with an access token.
pub(crate) struct Auth {
    /// What the token says.
    pub(crate) claims: AccessClaims,
}

impl Auth {
    /// Who asks.
    pub(crate) fn member(&self) -> MemberId {
        self.claims.member_id
    }

    /// Who asks, in which role and session.
    pub(crate) fn caller(&self) -> Caller {
        Caller::from(&self.claims)
    }
}

impl<'a> ApiExtractor<'a> for Auth {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_bearer(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let claims = by_token(app(request)?, request).map_err(Problem::from)?;
        Ok(Self { claims })
    }
}

/// Somebody with role admin.
pub(crate) struct Operator;

impl<'a> ApiExtractor<'a> for Operator {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_bearer(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let claims = by_token(app(request)?, request).map_err(Problem::from)?;
        Caller::from(&claims).admin().map_err(Problem::from)?;
        Ok(Self)
    }
}

/// Somebody with an access token, or with a one-use ticket in the query.
pub(crate) struct StreamAuth {
    /// What the token or ticket says.
    pub(crate) claims: AccessClaims,
}

impl<'a> ApiExtractor<'a> for StreamAuth {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_bearer(registry);
        registry.create_security_scheme(
            TICKET,
            MetaSecurityScheme {
                ty: "apiKey",
                description: Some("The one-use ticket of `POST /api/v1/auth/ticket`."),
                name: Some(TICKET),
                key_in: Some("query"),
                scheme: None,
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER, TICKET]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self { claims: by_token_or_ticket(app(request)?, request).await? })
    }
}
