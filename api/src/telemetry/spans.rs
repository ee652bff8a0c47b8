//! Spans of sampled traces, for whoever collects them.

use crate::trace::Step;
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};
use verbatim_application::{
    TraceContext,
    codec::About,
    ports::{Clock, IdGenerator},
};
use verbatim_infrastructure::{SystemClock, UuidV7Generator};
use verbatim_observability::{Span, SpanKind, Value, exports_spans, record_span};

/// What a span says beside its name.
pub(crate) type Attributes = Vec<(&'static str, Value)>;

/// A step that has just ended, or ended some time ago.
pub(crate) struct Ended {
    /// How long it took.
    pub(crate) took: Duration,
    /// How long ago it ended.
    pub(crate) ago: Duration,
    /// Whether something of ours failed.
    pub(crate) failed: bool,
}

impl Ended {
    /// Now, and well.
    pub(crate) fn now(took: Duration) -> Self {
        Self { took, ago: Duration::ZERO, failed: false }
    }
}

/// Records a step, if its trace is sampled and anybody wants to know. `say` is only asked then.
pub(crate) fn record<N: Into<Cow<'static, str>>>(
    step: Step,
    kind: SpanKind,
    ended: Ended,
    say: impl FnOnce() -> (N, Attributes),
) {
    if !step.context.is_sampled() || !exports_spans() {
        return;
    }
    let end = SystemTime::from(SystemClock.now()).checked_sub(ended.ago).unwrap_or(SystemTime::UNIX_EPOCH);
    let (name, attributes) = say();
    record_span(Span {
        trace_id: step.context.trace_bytes(),
        span_id: step.context.span_bytes(),
        parent_id: step.parent.map(|parent| parent.span_bytes()),
        // What is no request or frame goes on from what this service wrote down itself.
        parent_is_remote: kind == SpanKind::Server,
        name: name.into(),
        kind,
        start: end.checked_sub(ended.took).unwrap_or(end),
        end,
        failed: ended.failed,
        attributes,
    });
}

/// The next step after one that was written down, for a trace that is sampled.
pub(super) fn next(parent: TraceContext) -> Option<Step> {
    let worth = parent.is_sampled() && exports_spans();
    worth.then(|| Step { context: parent.child(UuidV7Generator.next()), parent: Some(parent) })
}

/// A whole number of ours as an attribute has it.
pub(crate) fn number(number: u64) -> Value {
    Value::I64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// What an event is about.
pub(super) fn about(about: About, position: u64) -> Attributes {
    let mut attributes = vec![("verbatim.position", number(position))];
    attributes.extend(about.room_id.map(|room| ("verbatim.room_id", room.to_string().into())));
    attributes.extend(about.message_id.map(|message| ("verbatim.message_id", message.to_string().into())));
    attributes.extend(about.seq.map(|seq| ("verbatim.seq", number(seq))));
    attributes
}
