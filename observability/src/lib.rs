//! Telemetry of Verbatim: logs and metrics. It knows nothing of the other crates; the wiring point feeds it.

mod host;
mod logging;
mod metrics;
mod spans;

pub use host::{free_bytes, host_name};
pub use logging::{
    FIELDS, FieldType, LogFile, Logging, LoggingError, Options, Output, check_line, init, logs_to_stdout,
    tell_later,
};
pub use metrics::Metrics;
pub use spans::{
    Exporting, Span, SpanError, SpanKind, SpanOptions, Value, export_spans, exports_spans, record_span,
    samples,
};
