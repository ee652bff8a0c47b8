//! What the log is told of pushes.

use super::spans::{self, Ended};
use std::time::Duration;
use verbatim_application::{TraceContext, push::Push, trace::EVENT_LINES_MAX};
use verbatim_observability::SpanKind;

/// Writes the lines of changes that were handed on. Several of one event have one line.
pub(super) fn tell(pushes: &[Push], took: Duration) {
    // What has no position is typing: nothing that anybody would look for.
    let mut pushes: Vec<&Push> = pushes.iter().filter(|push| push.position > 0).collect();
    pushes.dedup_by_key(|push| push.position);
    let each = pushes.len() <= EVENT_LINES_MAX;
    if let ([first, .., last], false) = (pushes.as_slice(), each) {
        let (position, upto, events) = (first.position, last.position, pushes.len());
        tracing::info!(position, upto, events, "pushed");
    }
    for push in pushes {
        if !each && !push.trace.is_some_and(TraceContext::is_sampled) {
            continue;
        }
        let about = push.about();
        if let Some(step) = push.trace.and_then(spans::next) {
            let say = || ("push", spans::about(about, push.position));
            spans::record(step, SpanKind::Producer, Ended::now(took), say);
        }
        tracing::info!(
            correlation_id = push.correlation_id,
            causation_id = push.trace.as_ref().map(|trace| display(trace.span_id())),
            trace_id = push.trace.as_ref().map(|trace| display(trace.trace_id())),
            room_id = about.room_id.map(display),
            message_id = about.message_id.map(display),
            seq = about.seq,
            position = push.position,
            "pushed"
        );
    }
}
