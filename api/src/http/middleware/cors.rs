//! Cross-origin requests (Fetch Standard, section 3.3): closed, but for the origins in the settings.
//!
//! poem's own `Cors` refuses requests from other origins with 401, also same-origin POSTs from our own page, and allows
//! every origin if none is listed.

use poem::{
    Endpoint, Middleware, Request, Response, Result,
    http::{HeaderValue, Method, StatusCode, header},
};
use std::sync::Arc;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Verbatim-Position, X-Request-Id, \
     traceparent",
);
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "Idempotency-Replayed, Retry-After, Verbatim-Position, X-Request-Id, traceparent, \
     traceresponse",
);
/// Seconds that a browser may remember a preflight answer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The middleware. Tokens travel in headers, never in cookies, so credentials are not allowed.
pub(in crate::http) struct Cors {
    /// Origins as browsers write them (`https://chat.example`), or `*` for all.
    pub(in crate::http) origins: Arc<[String]>,
}

impl<E: Endpoint<Output = Response>> Middleware<E> for Cors {
    type Output = CrossOrigin<E>;

    fn transform(&self, inner: E) -> Self::Output {
        CrossOrigin { inner, origins: self.origins.clone() }
    }
}

pub(in crate::http) struct CrossOrigin<E> {
    inner: E,
    origins: Arc<[String]>,
}

impl<E> CrossOrigin<E> {
    fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| allowed == "*" || allowed == text).then(|| origin.clone())
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for CrossOrigin<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if self.origins.is_empty() {
            return self.inner.call(request).await;
        }
        let origin = self.allowed(&request);
        let preflight = *request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if preflight && origin.is_some() {
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
                .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
                .finish()
        } else {
            self.inner.call(request).await?
        };
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
        Ok(response)
    }
}
