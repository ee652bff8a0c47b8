//! Metrics in Prometheus text format. Every series that can count an error exists from the start: `increase()` misses
//! a counter that is born above 0.

use crate::logging::{LOG_EVENTS, LOG_LINES_LOST};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

/// Seconds, from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 15] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Powers of two up to the largest batch.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// All metrics of one process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Commands answered, by kind and outcome (`ok`, `repeated`, `rejected`, `failed`).
    pub commands: IntCounterVec,
    /// Seconds from submission to answer, by kind of command.
    pub command_seconds: HistogramVec,
    /// Commands in one batch of the bus.
    pub batch_commands: Histogram,
    /// Seconds of one append to the log.
    pub append_seconds: Histogram,
    /// Events appended by this process.
    pub events_appended: IntCounter,
    /// Commands that found the queue full.
    pub bus_overloaded: IntCounter,
    /// Batches that lost a race for a stream.
    pub bus_conflicts: IntCounter,
    /// Batches that a bug has ended; their commands heard `unavailable`.
    pub bus_panics: IntCounter,
    /// Log position that each projection has applied.
    pub projection_position: IntGaugeVec,
    /// Events that each projection has not applied yet.
    pub projection_lag: IntGaugeVec,
    /// Seconds of one projected batch.
    pub projection_batch_seconds: Histogram,
    /// Events in one projected batch.
    pub projection_batch_events: Histogram,
    /// Times that a batch could not be projected and was tried again.
    pub projection_failures: IntCounter,
    /// Realtime sessions that are open, by kind.
    pub sessions: IntGaugeVec,
    /// Realtime sessions that ended, by kind and reason.
    pub sessions_closed: IntCounterVec,
    /// Items queued for realtime sessions.
    pub deliveries: IntCounter,
    /// Messages that were missing in the broadcast and filled in from the read model.
    pub holes_filled: IntCounter,
    /// Rooms that somebody listens to on this node.
    pub rooms_listened: IntGauge,
    /// Members who listen to their own counts on this node.
    pub members_listening: IntGauge,
    /// HTTP requests answered, by method, path template and status.
    pub http_requests: IntCounterVec,
    /// Seconds to answer HTTP requests, by method and path template.
    pub http_seconds: HistogramVec,
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Metrics {
    /// All metrics, at 0.
    ///
    /// # Errors
    /// Two have one name, which is a bug.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let count = |name: &str, help: &str| add(r, IntCounter::new(name, help));
        let counts = |name: &str, help: &str, labels: &[&str]| {
            add(r, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| add(r, IntGauge::new(name, help));
        let gauges =
            |name: &str, help: &str, labels: &[&str]| add(r, IntGaugeVec::new(Opts::new(name, help), labels));
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            add(r, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            add(r, HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
        };
        let metrics = Self {
            commands: counts("verbatim_commands_total", "Commands answered.", &["command", "outcome"])?,
            command_seconds: histograms(
                "verbatim_command_seconds",
                "Seconds from submission to answer.",
                &["command"],
            )?,
            batch_commands: histogram(
                "verbatim_batch_commands",
                "Commands in one batch of the bus.",
                &SIZES,
            )?,
            append_seconds: histogram(
                "verbatim_append_seconds",
                "Seconds of one append to the log.",
                &SECONDS,
            )?,
            events_appended: count("verbatim_events_appended_total", "Events appended by this process.")?,
            bus_overloaded: count("verbatim_bus_overloaded_total", "Commands that found the queue full.")?,
            bus_conflicts: count("verbatim_bus_conflicts_total", "Batches that lost a race for a stream.")?,
            bus_panics: count("verbatim_bus_panics_total", "Batches of commands that a bug has ended.")?,
            projection_position: gauges(
                "verbatim_projection_position",
                "Log position that the projection has applied.",
                &["projection"],
            )?,
            projection_lag: gauges(
                "verbatim_projection_lag_events",
                "Events that the projection has not applied yet.",
                &["projection"],
            )?,
            projection_batch_seconds: histogram(
                "verbatim_projection_batch_seconds",
                "Seconds of one projected batch.",
                &SECONDS,
            )?,
            projection_batch_events: histogram(
                "verbatim_projection_batch_events",
                "Events in one projected batch.",
                &SIZES,
            )?,
            projection_failures: count(
                "verbatim_projection_failures_total",
                "Batches that could not be projected and were tried again.",
            )?,
            sessions: gauges("verbatim_sessions", "Realtime sessions that are open.", &["kind"])?,
            sessions_closed: counts(
                "verbatim_sessions_closed_total",
                "Realtime sessions that ended.",
                &["kind", "reason"],
            )?,
            deliveries: count("verbatim_deliveries_total", "Items queued for realtime sessions.")?,
            holes_filled: count(
                "verbatim_holes_filled_total",
                "Messages missing in the broadcast and filled in from the read model.",
            )?,
            rooms_listened: gauge("verbatim_rooms_listened", "Rooms that somebody listens to here.")?,
            members_listening: gauge(
                "verbatim_members_listening",
                "Members who listen to their own counts here.",
            )?,
            http_requests: counts(
                "verbatim_http_requests_total",
                "HTTP requests answered.",
                &["method", "path", "status"],
            )?,
            http_seconds: histograms(
                "verbatim_http_request_seconds",
                "Seconds to answer an HTTP request.",
                &["method", "path"],
            )?,
            registry,
        };
        #[cfg(target_os = "linux")]
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        metrics.registry.register(Box::new(LOG_EVENTS.all.clone()))?;
        metrics.registry.register(Box::new(LOG_LINES_LOST.clone()))?;
        for reason in ["slow_client", "violation", "refused", "no_heart_beat"] {
            metrics.sessions_closed.with_label_values(&["stomp", reason]);
        }
        metrics.sessions_closed.with_label_values(&["sse", "slow_client"]);
        for outcome in ["ok", "rejected", "failed"] {
            metrics.commands.with_label_values(&["send_message", outcome]);
        }
        Ok(metrics)
    }

    /// All metrics as Prometheus text, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_fail_is_there_from_the_start() {
        let text = Metrics::new().unwrap().text();
        for series in [
            "verbatim_bus_overloaded_total 0",
            "verbatim_projection_failures_total 0",
            "verbatim_commands_total{command=\"send_message\",outcome=\"failed\"} 0",
            "verbatim_sessions_closed_total{kind=\"stomp\",reason=\"slow_client\"} 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(series), "{series} is missing in:\n{text}");
        }
    }
}
