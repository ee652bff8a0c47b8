//! Where traces come in: each request and each frame is a step of one.

use poem::http::HeaderMap;
use verbatim_application::{TraceContext, ports::IdGenerator};
use verbatim_observability::samples;

/// Header of a request, and of a STOMP frame, that names the trace it belongs to (W3C Trace Context, section 3.2).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Header of an answer that names the step that it was: `traceresponse` is what a later level of the specification has for
/// it (<https://w3c.github.io/trace-context/#traceresponse-header>), and `traceparent` what clients of today look for.
pub(crate) const TRACERESPONSE: &str = "traceresponse";

/// A step that begins here, and the one that led to it, if that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<TraceContext>,
}

impl Step {
    /// The step after `parent`; without one, the first of a new trace.
    pub(crate) fn after(parent: Option<TraceContext>, ids: &dyn IdGenerator) -> Self {
        let id = ids.next();
        let context = match parent {
            Some(parent) => parent.child(id),
            None => TraceContext::begin(id, samples(id.as_bytes())),
        };
        Self { context, parent }
    }
}

/// The trace that a request belongs to, if it says so in a way that counts: once, and validly.
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => TraceContext::parse(one.to_str().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem::http::HeaderValue;

    #[test]
    fn two_headers_are_none() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(of_headers(&headers), None);
        headers.insert(TRACEPARENT, HeaderValue::from_static(text));
        assert_eq!(of_headers(&headers).unwrap().to_string(), text);
        headers.append(TRACEPARENT, HeaderValue::from_static(text));
        assert_eq!(of_headers(&headers), None);
    }
}
