//! Headers that tell browsers what not to do (OWASP Secure Headers Project).

use poem::{
    Endpoint, Middleware, Request, Response, Result,
    http::{HeaderValue, header},
};

/// For what is no page: nothing may be loaded from it, and nobody may frame it.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// A Content-Security-Policy of a page's own; it goes into the response's data.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Policy(pub(in crate::http) &'static str);

/// The middleware.
pub(in crate::http) struct SecurityHeaders;

impl<E: Endpoint<Output = Response>> Middleware<E> for SecurityHeaders {
    type Output = Secured<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Secured { inner }
    }
}

pub(in crate::http) struct Secured<E> {
    inner: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Secured<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut response = self.inner.call(request).await?;
        let policy = response.data::<Policy>().map_or(NO_PAGE, |policy| policy.0);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Answers are somebody's own, unless a handler knows better.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        Ok(response)
    }
}
