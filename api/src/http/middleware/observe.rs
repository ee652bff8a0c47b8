//! Each request gets an id, a tracing span, a line in the log and a place in the metrics.

use super::Failure;
use crate::{
    http::{context::POSITION_HEADER, problem::Code},
    telemetry::{micros, spans},
    trace::{Step, TRACEPARENT, TRACERESPONSE, of_headers},
};
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
use uuid::Uuid;
use verbatim_application::ports::IdGenerator;
use verbatim_domain::MessageId;
use verbatim_observability::SpanKind;

const HEADER: &str = "X-Request-Id";
/// Longest request id that is taken from a client, in bytes.
const REQUEST_ID_MAX: usize = 64;

/// What HTTP tells about itself, for metrics. Called once a request: implementations must not block.
pub trait HttpObserver: Send + Sync + 'static {
    /// A request was answered. `method` is one of a few names, `template` the route's path with its parameters' names
    /// (`/api/v1/rooms/{room_id}`) or `unmatched`: both are fit for labels. For streams and WebSockets, `latency` ends
    /// with the headers.
    fn answered(&self, method: &'static str, template: &str, status: u16, latency: Duration);

    /// There is such a route, and requests may come. Told once, at the start.
    fn route(&self, _method: &'static str, _template: &str) {}
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
pub(in crate::http) fn label(method: &Method) -> &'static str {
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
        let step = Step::after(of_headers(request.headers()), &*self.ids);
        // `path` is the template: a path itself may hold what is nobody's business.
        let span = tracing::info_span!(
            "request",
            request_id = %id,
            trace_id = %step.context.trace_id(),
            span_id = %step.context.span_id(),
            method,
            path = Empty,
            member_id = Empty,
            room_id = Empty,
            message_id = Empty,
            seq = Empty,
        );
        request.set_data(id.clone());
        request.set_data(step.context);
        let mut unanswered = Unanswered { span: Some(&span), since };
        let mut response = self.inner.call(request).instrument(span.clone()).await?;
        unanswered.span = None;
        let template = template(&response);
        if response.data::<Template>().is_none() {
            // Else it was noted when the route was found: a field that is recorded twice shows twice.
            span.record("path", &*template);
        }
        let latency = since.elapsed();
        span.in_scope(|| tell(&response, micros(latency)));
        let status = response.status().as_u16();
        self.observer.answered(method, &template, status, latency);
        let ended = spans::Ended { failed: status >= 500, ..spans::Ended::now(latency) };
        spans::record(step, SpanKind::Server, ended, || {
            let attributes = vec![
                ("http.request.method", method.into()),
                ("http.route", template.to_string().into()),
                ("http.response.status_code", spans::number(status.into())),
                ("verbatim.request_id", id.to_string().into()),
            ];
            (format!("{method} {template}"), attributes)
        });
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(HEADER, value);
        }
        if let Ok(value) = HeaderValue::from_str(&step.context.to_string()) {
            response.headers_mut().insert(TRACEPARENT, value.clone());
            response.headers_mut().insert(TRACERESPONSE, value);
        }
        Ok(response)
    }
}

/// The one line of a request.
fn tell(response: &Response, latency_us: u64) {
    let status = response.status().as_u16();
    let code = response.data::<Code>().map(|code| &*code.0);
    let position = response.headers().get(POSITION_HEADER);
    let position: Option<u64> = position.and_then(|position| position.to_str().ok()?.parse().ok());
    match response.data::<Failure>() {
        Some(Failure { causes }) => {
            tracing::error!(status, latency_us, code, error = causes.as_deref(), "failed");
        }
        // Nothing of ours has failed, but a client was sent away all the same: full, or stopping.
        None if status >= 500 => tracing::warn!(status, latency_us, code, "refused"),
        None if status >= 400 => tracing::info!(status, latency_us, code, "refused"),
        None => tracing::info!(status, latency_us, position, "answered"),
    }
}

/// A client that does not wait for its answer has its line all the same.
struct Unanswered<'a> {
    span: Option<&'a Span>,
    since: Instant,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(span) = self.span {
            let latency_us = micros(self.since.elapsed());
            span.in_scope(|| tracing::info!(latency_us, code = "client_gone", "not answered"));
        }
    }
}

fn template(response: &Response) -> Arc<str> {
    match (response.data::<Template>(), response.data::<PathPattern>()) {
        (Some(template), _) => template.0.clone(),
        (None, Some(pattern)) => pattern.0.clone(),
        (None, None) => "unmatched".into(),
    }
}

/// Notes the route and what it names in the span of the request, as soon as it is known.
pub(in crate::http) fn note_route(template: &str, request: &Request) {
    let span = Span::current();
    span.record("path", template);
    // Only what these really are: any text may stand in their place.
    if let Some(room) = request.raw_path_param("room_id").and_then(|text| Uuid::try_parse(text).ok()) {
        span.record("room_id", tracing::field::display(room));
    }
    if let Some(seq) = request.raw_path_param("seq").and_then(|text| text.parse::<i64>().ok()) {
        span.record("seq", seq);
    }
}

/// Notes a message in the span of the request that sent it.
pub(in crate::http) fn note_message(message: MessageId, seq: u64) {
    Span::current().record("message_id", tracing::field::display(message)).record("seq", seq);
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
