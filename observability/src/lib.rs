//! Telemetry of Verbatim: logs and metrics. It knows nothing of the other crates; the wiring point feeds it.

mod logging;
mod metrics;

pub use logging::{Format, LoggingError, init};
pub use metrics::Metrics;
