//! Each request gets an id, a tracing span, a line in the log and a place in the metrics.

use poem::{
    Endpoint, Middleware, PathPattern, Request, Response, Result,
    http::{HeaderValue, Method},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{Instrument, Span, field::Empty};
use verbatim_application::ports::IdGenerator;

const HEADER: &str = "X-Request-Id";
/// Longest request id that is taken from a client, in bytes.
const REQUEST_ID_MAX: usize = 64;

/// What HTTP tells about itself, for metrics. Called once a request: implementations must not block.
pub trait HttpObserver: Send + Sync + 'static {
    /// A request was answered. `method` is one of a few names, `template` the route's path with its parameters' names
    /// (`/api/v1/rooms/{room_id}`) or `unmatched`: both are fit for labels. For streams and WebSockets, `latency` ends
    /// with the headers.
    fn answered(&self, method: &'static str, template: &str, status: u16, latency: Duration);
}

/// The id of a request: in its answer, its log lines, its problem document and its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Takes a client's own id: 1 to 64 of `A-Z a-z 0-9 . _ -`, so that it is harmless in logs and headers.
    #[must_use]
    pub fn accept(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        ((1..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of the route that answered, with its parameters' names.
#[derive(Debug, Clone)]
pub(in crate::http) struct Template(pub(in crate::http) Arc<str>);

/// The middleware.
pub(in crate::http) struct Observe {
    pub(in crate::http) ids: Arc<dyn IdGenerator>,
    pub(in crate::http) observer: Arc<dyn HttpObserver>,
}

impl<E: Endpoint<Output = Response>> Middleware<E> for Observe {
    type Output = Observed<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Observed { inner, ids: self.ids.clone(), observer: self.observer.clone() }
    }
}

pub(in crate::http) struct Observed<E> {
    inner: E,
    ids: Arc<dyn IdGenerator>,
    observer: Arc<dyn HttpObserver>,
}

/// A method as a label: clients may invent others without end.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let since = Instant::now();
        let id = request
            .header(HEADER)
            .and_then(RequestId::accept)
            .unwrap_or_else(|| RequestId(self.ids.next().to_string().into()));
        let method = label(request.method());
        // `path` is the template: a path itself may hold what is nobody's business.
        let span = tracing::info_span!(
            "request",
            request_id = %id,
            method,
            path = Empty,
            member_id = Empty,
            status = Empty,
            latency_us = Empty,
        );
        request.set_data(id.clone());
        let mut response = self.inner.call(request).instrument(span.clone()).await?;
        let status = response.status().as_u16();
        let template = template(&response);
        let latency = since.elapsed();
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if response.data::<Template>().is_none() {
            // Else it was noted when the route was found: a field that is recorded twice shows twice.
            span.record("path", &*template);
        }
        span.record("status", status).record("latency_us", latency_us);
        if status < 400 {
            // Errors have their line already, from where they were handled.
            span.in_scope(|| tracing::info!("answered"));
        }
        self.observer.answered(method, &template, status, latency);
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(HEADER, value);
        }
        Ok(response)
    }
}

fn template(response: &Response) -> Arc<str> {
    match (response.data::<Template>(), response.data::<PathPattern>()) {
        (Some(template), _) => template.0.clone(),
        (None, Some(pattern)) => pattern.0.clone(),
        (None, None) => "unmatched".into(),
    }
}

/// Notes the route in the span of the request, as soon as it is known.
pub(in crate::http) fn note_template(template: &str) {
    Span::current().record("path", template);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_taken_if_it_is_harmless() {
        for good in ["a", "0198c2f4-6f0e", "A.b_c-9", &"x".repeat(64)] {
            assert!(RequestId::accept(good).is_some(), "{good}");
        }
        for bad in ["", "a b", "a\n", "ä", "<script>", "a/b", &"x".repeat(65)] {
            assert!(RequestId::accept(bad).is_none(), "{bad}");
        }
    }
}
