//! Metrics in Prometheus text format. Every series that can count an error exists from the start: `increase()` misses
//! a counter that is born above 0.

mod registrar;
mod scrape;

use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};
use registrar::Registrar;
use scrape::Before;
use std::sync::Arc;

/// Seconds, from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 15] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Powers of two up to the largest batch.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// All metrics of one process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    before: Arc<Before>,
    /// Commands answered, by kind and outcome (`ok`, `repeated`, `rejected`, `failed`).
    pub commands: IntCounterVec,
    /// Seconds from submission to answer, by kind of command.
    pub command_seconds: HistogramVec,
    /// Commands in one batch of the bus.
    pub batch_commands: Histogram,
    /// Seconds of one append to the log.
    pub append_seconds: Histogram,
    /// Seconds that a command waited until its batch began.
    pub bus_wait_seconds: Histogram,
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
    /// Seconds since the oldest event that each projection has not applied yet.
    pub projection_lag_seconds: GaugeVec,
    /// Whether this node runs each projection: 1 or 0.
    pub projection_leading: IntGaugeVec,
    /// Events that a rebuild has folded into the new version so far.
    pub rebuild_done: IntGaugeVec,
    /// Events that it has to fold.
    pub rebuild_target: IntGaugeVec,
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
    /// Whether pushes of other nodes arrive here: 1 or 0. It stays at 1 where there are no other nodes.
    pub broadcast_connected: IntGauge,
    /// Times that the connection to the broadcast was made again.
    pub broadcast_reconnects: IntCounter,
    /// Times that pushes were found missing.
    pub broadcast_holes: IntCounter,
    /// Pushes that were made anew from log and read models, to fill what was missing.
    pub broadcast_replayed: IntCounter,
    /// Connections to databases, by pool and state (`used`, `idle`).
    pub pool_connections: IntGaugeVec,
    /// Bytes that are free in the file system of the data folder.
    pub data_free_bytes: IntGauge,
    /// STOMP frames, by command and outcome (`ok`, `rejected`, `failed`, `gone`).
    pub stomp_frames: IntCounterVec,
    /// Seconds from reading a STOMP frame to its outcome, by command.
    pub stomp_frame_seconds: HistogramVec,
    /// HTTP requests answered, by method, path template and status.
    pub http_requests: IntCounterVec,
    /// Seconds to answer HTTP requests, by method and path template.
    pub http_seconds: HistogramVec,
}

impl Metrics {
    /// All metrics, at 0.
    ///
    /// # Errors
    /// Two have one name, which is a bug.
    pub fn new() -> Result<Self, prometheus::Error> {
        let r = Registrar::default();
        let metrics = Self {
            commands: r.counts("verbatim_commands_total", "Commands answered.", &["command", "outcome"])?,
            command_seconds: r.histograms(
                "verbatim_command_seconds",
                "Seconds from submission to answer.",
                &["command"],
            )?,
            batch_commands: r.histogram(
                "verbatim_batch_commands",
                "Commands in one batch of the bus.",
                &SIZES,
            )?,
            append_seconds: r.histogram(
                "verbatim_append_seconds",
                "Seconds of one append to the log.",
                &SECONDS,
            )?,
            bus_wait_seconds: r.histogram(
                "verbatim_bus_wait_seconds",
                "Seconds that a command waited until its batch began.",
                &SECONDS,
            )?,
            events_appended: r.count("verbatim_events_appended_total", "Events appended by this process.")?,
            bus_overloaded: r
                .count("verbatim_bus_overloaded_total", "Commands that found the queue full.")?,
            bus_conflicts: r
                .count("verbatim_bus_conflicts_total", "Batches that lost a race for a stream.")?,
            bus_panics: r.count("verbatim_bus_panics_total", "Batches of commands that a bug has ended.")?,
            projection_position: r.gauges(
                "verbatim_projection_position",
                "Log position that the projection has applied.",
                &["projection"],
            )?,
            projection_lag: r.gauges(
                "verbatim_projection_lag_events",
                "Events that the projection has not applied yet.",
                &["projection"],
            )?,
            projection_batch_seconds: r.histogram(
                "verbatim_projection_batch_seconds",
                "Seconds of one projected batch.",
                &SECONDS,
            )?,
            projection_batch_events: r.histogram(
                "verbatim_projection_batch_events",
                "Events in one projected batch.",
                &SIZES,
            )?,
            projection_lag_seconds: r.real_gauges(
                "verbatim_projection_lag_seconds",
                "Seconds since the oldest event that the projection has not applied yet.",
                &["projection"],
            )?,
            projection_leading: r.gauges(
                "verbatim_projection_leading",
                "Whether this node runs the projection.",
                &["projection"],
            )?,
            rebuild_done: r.gauges(
                "verbatim_projection_rebuild_done_events",
                "Events that the last rebuild has folded.",
                &["projection"],
            )?,
            rebuild_target: r.gauges(
                "verbatim_projection_rebuild_target_events",
                "Events that the last rebuild has to fold.",
                &["projection"],
            )?,
            projection_failures: r.count(
                "verbatim_projection_failures_total",
                "Batches that could not be projected and were tried again.",
            )?,
            sessions: r.gauges("verbatim_sessions", "Realtime sessions that are open.", &["kind"])?,
            sessions_closed: r.counts(
                "verbatim_sessions_closed_total",
                "Realtime sessions that ended.",
                &["kind", "reason"],
            )?,
            deliveries: r.count("verbatim_deliveries_total", "Items queued for realtime sessions.")?,
            holes_filled: r.count(
                "verbatim_holes_filled_total",
                "Messages missing in the broadcast and filled in from the read model.",
            )?,
            rooms_listened: r.gauge("verbatim_rooms_listened", "Rooms that somebody listens to here.")?,
            members_listening: r
                .gauge("verbatim_members_listening", "Members who listen to their own counts here.")?,
            broadcast_connected: r
                .gauge("verbatim_broadcast_connected", "Whether pushes of other nodes arrive here.")?,
            broadcast_reconnects: r.count(
                "verbatim_broadcast_reconnects_total",
                "Times that the connection to the broadcast was made again.",
            )?,
            broadcast_holes: r
                .count("verbatim_broadcast_holes_total", "Times that pushes were found missing.")?,
            broadcast_replayed: r
                .count("verbatim_broadcast_replayed_total", "Pushes made anew to fill what was missing.")?,
            pool_connections: r.gauges(
                "verbatim_pool_connections",
                "Connections to databases.",
                &["pool", "state"],
            )?,
            data_free_bytes: r
                .gauge("verbatim_data_free_bytes", "Bytes free in the file system of the data folder.")?,
            stomp_frames: r.counts(
                "verbatim_stomp_frames_total",
                "STOMP frames.",
                &["command", "outcome"],
            )?,
            stomp_frame_seconds: r.histograms(
                "verbatim_stomp_frame_seconds",
                "Seconds from reading a STOMP frame to its outcome.",
                &["command"],
            )?,
            http_requests: r.counts(
                "verbatim_http_requests_total",
                "HTTP requests answered.",
                &["method", "path", "status"],
            )?,
            http_seconds: r.histograms(
                "verbatim_http_request_seconds",
                "Seconds to answer an HTTP request.",
                &["method", "path"],
            )?,
            before: Arc::default(),
            registry: r.registry,
        };
        metrics.begin()?;
        Ok(metrics)
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
