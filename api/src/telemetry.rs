//! Feeds what the crates tell about themselves into the metrics.

use crate::{http::HttpObserver, realtime::HubObserver, ws::SessionObserver};
use std::time::Duration;
use verbatim_application::bus::BusObserver;
use verbatim_infrastructure::RedisObserver;
use verbatim_observability::Metrics;
use verbatim_projections::{BatchReport, Observer};

/// The metrics as an observer of everything.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry(pub Metrics);

impl BusObserver for Telemetry {
    fn answered(&self, command: &'static str, outcome: &'static str, latency: Duration) {
        self.0.commands.with_label_values(&[command, outcome]).inc();
        self.0.command_seconds.with_label_values(&[command]).observe(latency.as_secs_f64());
    }

    fn committed(&self, commands: usize, events: usize, append: Duration) {
        self.0.batch_commands.observe(commands as f64);
        self.0.events_appended.inc_by(events as u64);
        self.0.append_seconds.observe(append.as_secs_f64());
    }

    fn overloaded(&self) {
        self.0.bus_overloaded.inc();
    }

    fn conflicted(&self) {
        self.0.bus_conflicts.inc();
    }

    fn panicked(&self) {
        self.0.bus_panics.inc();
    }
}

impl HubObserver for Telemetry {
    fn delivered(&self, count: usize) {
        self.0.deliveries.inc_by(count as u64);
    }

    fn filled(&self, count: usize) {
        self.0.holes_filled.inc_by(count as u64);
    }

    fn listening(&self, rooms: usize, members: usize) {
        self.0.rooms_listened.set(i64::try_from(rooms).unwrap_or(i64::MAX));
        self.0.members_listening.set(i64::try_from(members).unwrap_or(i64::MAX));
    }
}

impl SessionObserver for Telemetry {
    fn opened(&self, kind: &'static str) {
        self.0.sessions.with_label_values(&[kind]).inc();
    }

    fn closed(&self, kind: &'static str, reason: &'static str) {
        self.0.sessions.with_label_values(&[kind]).dec();
        self.0.sessions_closed.with_label_values(&[kind, reason]).inc();
    }
}

impl RedisObserver for Telemetry {
    fn published(&self, _changes: usize) {}
    fn left_out(&self, _changes: usize) {}
    fn received(&self, _changes: usize) {}

    fn hole(&self) {
        self.0.broadcast_holes.inc();
    }

    fn replayed(&self, changes: usize) {
        self.0.broadcast_replayed.inc_by(changes as u64);
    }

    fn missed(&self) {
        self.0.broadcast_holes.inc();
    }

    fn reconnected(&self) {
        self.0.broadcast_reconnects.inc();
    }

    fn connected(&self, connected: bool) {
        self.0.broadcast_connected.set(connected.into());
    }
}

impl Observer for Telemetry {
    fn applied(&self, report: BatchReport) {
        self.0.projection_batch_events.observe(report.events as f64);
        self.0.projection_batch_seconds.observe(report.took.as_secs_f64());
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        // One runner keeps all projections of this database at one position.
        self.0.projection_position.with_label_values(&["all"]).set(gauge(report.position));
        let lag = report.head.saturating_sub(report.position);
        self.0.projection_lag.with_label_values(&["all"]).set(gauge(lag));
    }

    fn failed(&self, _error: &(dyn std::error::Error + 'static)) {
        self.0.projection_failures.inc();
    }
}

impl HttpObserver for Telemetry {
    fn answered(&self, method: &'static str, template: &str, status: u16, latency: Duration) {
        let mut buffer = [0; 3];
        let status = status_text(status, &mut buffer);
        self.0.http_requests.with_label_values(&[method, template, status]).inc();
        self.0.http_seconds.with_label_values(&[method, template]).observe(latency.as_secs_f64());
    }
}

/// Three digits without an allocation.
fn status_text(status: u16, buffer: &mut [u8; 3]) -> &str {
    for (place, digit) in buffer.iter_mut().rev().zip([status % 10, status / 10 % 10, status / 100 % 10]) {
        *place = b'0' + digit as u8;
    }
    std::str::from_utf8(buffer).unwrap_or("000")
}
