//! Spans for a collector, by OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>). Steps of a trace lie in
//! several tasks, threads and nodes, and many of them share a batch, so a span is not opened here and closed there: whoever
//! has done a step hands it over whole, with the ids that its trace context gave it. For the same reason there is no
//! tracing-opentelemetry between: it knows spans of one call stack.
//!
//! A span is queued, or dropped if the queue is full; nobody waits for the collector.

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceState},
};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor,
    },
};
use std::{
    borrow::Cow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

pub use opentelemetry::{Value, trace::SpanKind};

/// Most spans that wait; more are dropped.
const QUEUE_MAX: usize = 8_192;
/// Most spans of one request to the collector.
const BATCH_MAX: usize = 1_024;
/// How often spans are sent, unless a batch is full sooner.
const SEND_EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take.
const SEND_LIMIT: Duration = Duration::from_secs(3);
/// How long the last spans may take when the process ends.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

static EXPORT: OnceLock<Export> = OnceLock::new();

#[derive(Debug)]
struct Export {
    processor: BatchSpanProcessor,
    /// Of so many parts of 2^32, how many of the traces that begin here are sampled.
    sampled: u64,
    scope: InstrumentationScope,
}

/// Where spans go.
#[derive(Debug, Clone)]
pub struct SpanOptions<'a> {
    /// Name of the program: `service.name`.
    pub name: &'static str,
    /// Name of this node: `service.instance.id`.
    pub node: &'a str,
    /// The collector's base URL, e.g. `http://127.0.0.1:4318`; `/v1/traces` is added unless it is there. No TLS: a collector
    /// stands beside the node.
    pub endpoint: &'a str,
    /// Which part of the traces that begin here is sampled, 0 to 1. Others decide for theirs.
    pub sample: f64,
}

/// Spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// The endpoint is not right.
    #[error("setting VERBATIM_OTLP_ENDPOINT: {0}")]
    Endpoint(#[from] ExporterBuildError),
    /// It was set up before.
    #[error("the export of spans is set up already")]
    Twice,
}

/// The export at work. Dropping it sends what waits: keep it until the end of the process.
#[must_use = "what waits is sent when this is dropped"]
#[derive(Debug)]
pub struct Exporting(());

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Some(export) = EXPORT.get() {
            // Should the collector not answer, these spans are lost, and nothing else.
            let _ = export.processor.shutdown_with_timeout(FLUSH_LIMIT);
        }
    }
}

/// A step of a sampled trace that is over.
#[derive(Debug, Clone)]
pub struct Span {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// This step.
    pub span_id: [u8; 8],
    /// The step that led to it.
    pub parent_id: Option<[u8; 8]>,
    /// Whether that was in another process.
    pub parent_is_remote: bool,
    /// What was done, of a small number of names.
    pub name: Cow<'static, str>,
    /// On which side of what.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Whether something of ours failed.
    pub failed: bool,
    /// What else there is to say. As in logs: never a text, an address or a token.
    pub attributes: Vec<(&'static str, Value)>,
}

/// Tells when the collector goes away and comes back, once each.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("spans are taken again"),
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "the collector takes no spans; they are dropped until it does");
            }
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn traces_url(endpoint: &str) -> String {
    const PATH: &str = "/v1/traces";
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") }
}

/// Starts to export spans, for the whole process.
///
/// # Errors
/// [`SpanError`]
pub fn export_spans(options: &SpanOptions<'_>) -> Result<Exporting, SpanError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(traces_url(options.endpoint))
        .with_timeout(SEND_LIMIT)
        .build()?;
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(SEND_EVERY)
        .build();
    let watched = Watched { exporter, failing: AtomicBool::new(false) };
    let mut processor = BatchSpanProcessor::builder(watched).with_batch_config(config).build();
    let resource = Resource::builder_empty()
        .with_service_name(options.name)
        .with_attributes([
            KeyValue::new("service.instance.id", options.node.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    processor.set_resource(&resource);
    let scope = InstrumentationScope::builder(options.name).build();
    let sampled = (options.sample.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
    EXPORT.set(Export { processor, sampled, scope }).map_err(|_| SpanError::Twice)?;
    Ok(Exporting(()))
}

/// Whether anybody takes spans.
#[must_use]
pub fn exports_spans() -> bool {
    EXPORT.get().is_some()
}

/// Whether a trace that begins here with this id is to be sampled. Nothing is, if nobody takes spans.
#[must_use]
pub fn samples(trace_id: &[u8; 16]) -> bool {
    let [.., a, b, c, d] = trace_id;
    EXPORT.get().is_some_and(|export| u64::from(u32::from_be_bytes([*a, *b, *c, *d])) < export.sampled)
}

/// Hands a span over. It is dropped if nobody takes spans, or not fast enough.
pub fn record_span(span: Span) {
    let Some(export) = EXPORT.get() else { return };
    let (trace_id, span_id) = (TraceId::from_bytes(span.trace_id), SpanId::from_bytes(span.span_id));
    let context = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE);
    export.processor.on_end(SpanData {
        span_context: context,
        parent_span_id: span.parent_id.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: span.parent_is_remote,
        span_kind: span.kind,
        name: span.name,
        start_time: span.start,
        end_time: span.end,
        attributes: span.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: export.scope.clone(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_once() {
        for given in ["http://x:1", "http://x:1/", "http://x:1/v1/traces", "http://x:1/v1/traces/"] {
            assert_eq!(traces_url(given), "http://x:1/v1/traces");
        }
        assert_eq!(traces_url("http://x/otlp"), "http://x/otlp/v1/traces");
    }

    #[test]
    fn nothing_is_sampled_for_nobody() {
        assert!(!exports_spans() && !samples(&[0; 16]));
    }
}
