//! The one place where errors become answers: `application/problem+json` (RFC 9457), whatever went wrong.

use poem::{
    Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError, ResponseError},
    http::{HeaderValue, StatusCode, header},
};
use serde::Serialize;
use std::{borrow::Cow, time::Duration};
use verbatim_application::{AppError, ErrorClass};

/// Media type of every error (RFC 9457, section 3).
pub const CONTENT_TYPE: &str = "application/problem+json";
/// Most wrong fields that one problem names.
pub const ERRORS_MAX: usize = 16;
/// The statuses with which an operation may fail. 404 and 405 for what is no operation come beside them.
pub(super) const STATUSES: [u16; 11] = [400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503];
/// Longest field name of the client's own that is repeated to it, in characters.
const FIELD_MAX: usize = 64;

/// One part of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Name of the field, parameter or header; `body` for the whole body.
    pub field: Cow<'static, str>,
    /// What is wrong with it, for people.
    pub detail: String,
}

impl Wrong {
    /// A field that the client named itself is cut to a length that can be shown.
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let mut field = field.into();
        if field.chars().count() > FIELD_MAX {
            field = Cow::Owned(field.chars().take(FIELD_MAX).collect());
        }
        Self { field, detail: detail.into() }
    }
}

/// An error on its way to the client.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable snake_case name of the reason; ends `type`.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub detail: Cow<'static, str>,
    /// The parts of the request that are wrong.
    pub errors: Vec<Wrong>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The methods that a path has, for 405 (RFC 9110, section 15.5.6). Boxed, for most problems have none.
    pub allow: Option<Box<HeaderValue>>,
    /// What lies beneath; logged, never shown.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The reason's name, set on the answer for its line in the log.
#[derive(Debug, Clone)]
pub(super) struct Code(pub(super) Cow<'static, str>);

/// The body, in the order in which people read it.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Wrong]>::is_empty")]
    errors: &'a [Wrong],
}

/// The status of a class of errors.
#[must_use]
pub fn status(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::Invalid => StatusCode::BAD_REQUEST,
        ErrorClass::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorClass::Forbidden => StatusCode::FORBIDDEN,
        ErrorClass::NotFound => StatusCode::NOT_FOUND,
        ErrorClass::Conflict => StatusCode::CONFLICT,
        ErrorClass::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorClass::Limited => StatusCode::TOO_MANY_REQUESTS,
        ErrorClass::Overloaded | ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<&AppError> for Problem {
    /// Without the source: for showing, not for handling.
    fn from(error: &AppError) -> Self {
        Self {
            status: status(error.class),
            code: Cow::Borrowed(error.code),
            detail: error.detail.clone(),
            errors: error.fields.iter().map(|wrong| Wrong::new(wrong.field, wrong.detail.clone())).collect(),
            retry_after: error.retry_after,
            allow: None,
            source: None,
        }
    }
}

impl From<AppError> for Problem {
    fn from(mut error: AppError) -> Self {
        let source = error.source.take();
        Self { source, ..Self::from(&error) }
    }
}

impl From<poem::Error> for Problem {
    /// What the web framework itself refuses. A response that somebody made on purpose must not come here.
    fn from(error: poem::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        if error.is::<NotFoundError>() {
            return Self::new(StatusCode::NOT_FOUND, "path_not_found", "nothing is served at this path");
        }
        if error.is::<MethodNotAllowedError>() {
            // A route that is not one of ours: those know their methods.
            return Self::method_not_allowed(HeaderValue::from_static("GET, HEAD"));
        }
        if let Some(error) = error.downcast_ref::<ReadBodyError>() {
            return Self::unreadable(error);
        }
        let status = error.status();
        let mut problem = Self::bare(status);
        if status.is_server_error() {
            problem.source = Some(Box::new(error));
        }
        problem
    }
}

/// An application error as a problem document, for transports that are not HTTP: STOMP puts it into ERROR frames. An
/// empty `request_id` is left out.
#[must_use]
pub fn json(error: &AppError, request_id: &str) -> String {
    Problem::from(error).document((!request_id.is_empty()).then_some(request_id))
}

impl Problem {
    /// A problem without further members.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: None,
            source: None,
        }
    }

    /// A problem of which nothing but the status is known.
    #[must_use]
    pub fn bare(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("error");
        let code = reason.to_ascii_lowercase().replace([' ', '-'], "_");
        Self::new(status, code, reason)
    }

    /// Parts of the request are wrong.
    #[must_use]
    pub fn invalid(mut errors: Vec<Wrong>) -> Self {
        errors.truncate(ERRORS_MAX);
        let detail = "the request has invalid parts; `errors` names them";
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail) }
    }

    /// The path is there, the method is not.
    #[must_use]
    pub fn method_not_allowed(allow: HeaderValue) -> Self {
        let detail = "this path has other methods; the header Allow names them";
        Self {
            allow: Some(Box::new(allow)),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        }
    }

    /// The body is not JSON, by its own account.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let detail = "the body must be JSON, with `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The body has more bytes than `limit`.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is longer than {limit} bytes");
        Self::new(status(ErrorClass::TooLarge), "too_large", detail)
    }

    fn unreadable(error: &ReadBodyError) -> Self {
        match error {
            ReadBodyError::PayloadTooLarge => Self::too_large(super::body::BODY_MAX),
            _ => Self::invalid(vec![Wrong::new("body", "could not be read to its end")]),
        }
    }

    /// The problem document.
    #[must_use]
    pub fn document(&self, request_id: Option<&str>) -> String {
        // Words of the code, so that the title is the same for all problems of a type (RFC 9457, section 3.1.3).
        let mut title = self.code.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        // A bug is none of the client's business: it gets the request id to tell us.
        let internal = self.status == StatusCode::INTERNAL_SERVER_ERROR;
        let document = Document {
            r#type: format!("/problems/{}", self.code),
            title,
            status: self.status.as_u16(),
            detail: (!internal).then_some(self.detail.as_ref()),
            code: &self.code,
            request_id,
            errors: if internal { &[] } else { &self.errors },
        };
        // Strings and numbers always make JSON.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// The answer.
    #[must_use]
    pub fn response(&self, request_id: Option<&str>) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .content_type(CONTENT_TYPE)
            .body(self.document(request_id));
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            // Whole seconds (RFC 9110, section 10.2.3), rounded up: a client that obeys must not be early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = &self.allow {
            headers.insert(header::ALLOW, HeaderValue::clone(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, self.challenge());
        }
        response.set_data(Code(self.code.clone()));
        response
    }

    /// RFC 6750, section 3: the error is only named where a token was shown.
    fn challenge(&self) -> HeaderValue {
        match self.code.as_ref() {
            "invalid_token" => HeaderValue::from_static(r#"Bearer error="invalid_token""#),
            _ => HeaderValue::from_static("Bearer"),
        }
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        self.response(None)
    }
}
