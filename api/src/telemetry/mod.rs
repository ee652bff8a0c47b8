//! Feeds what the crates tell about themselves into the metrics.

mod pools;
mod projected;
mod pushed;
mod rebuilding;
pub(crate) mod spans;

pub(crate) use projected::Projected;
pub(crate) use rebuilding::Rebuilding;

use crate::{http::HttpObserver, realtime::HubObserver, ws::SessionObserver};
use spans::{Ended, number};
use std::time::Duration;
use verbatim_application::{
    bus::{BusObserver, Traced},
    push::Push,
};
use verbatim_infrastructure::RedisObserver;
use verbatim_observability::{Metrics, SpanKind};

/// The metrics as an observer of everything.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry(pub Metrics);

impl BusObserver for Telemetry {
    fn answered(&self, command: &'static str, outcome: &'static str, latency: Duration) {
        self.0.commands.with_label_values(&[command, outcome]).inc();
        self.0.command_seconds.with_label_values(&[command]).observe(latency.as_secs_f64());
    }

    fn waited(&self, wait: Duration) {
        self.0.bus_wait_seconds.observe(wait.as_secs_f64());
    }

    fn committed(&self, commands: usize, events: usize, append: Duration) {
        self.0.batch_commands.observe(commands as f64);
        self.0.events_appended.inc_by(events as u64);
        self.0.append_seconds.observe(append.as_secs_f64());
    }

    fn traced(&self, traced: &Traced<'_>) {
        let Some(command) = spans::next(*traced.trace) else { return };
        spans::record(command, SpanKind::Internal, Ended::now(traced.latency), || {
            let wait = number(micros(traced.wait));
            (format!("command {}", traced.command), vec![("verbatim.wait_us", wait)])
        });
        let Some(append) = spans::next(command.context) else { return };
        spans::record(append, SpanKind::Client, Ended::now(traced.append), || {
            ("append", vec![("verbatim.events", number(traced.events as u64))])
        });
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

    fn pushed(&self, pushes: &[Push], items: usize, took: Duration) {
        if items > 0 {
            pushed::tell(pushes, took);
        }
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

    fn frame(&self, command: &'static str, outcome: &'static str, latency: Duration) {
        self.0.stomp_frames.with_label_values(&[command, outcome]).inc();
        self.0.stomp_frame_seconds.with_label_values(&[command]).observe(latency.as_secs_f64());
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

impl HttpObserver for Telemetry {
    fn answered(&self, method: &'static str, template: &str, status: u16, latency: Duration) {
        let mut buffer = [0; 3];
        let status = status_text(status, &mut buffer);
        self.0.http_requests.with_label_values(&[method, template, status]).inc();
        self.0.http_seconds.with_label_values(&[method, template]).observe(latency.as_secs_f64());
    }

    fn route(&self, method: &'static str, template: &str) {
        // From 0: an alert on the increase of errors would not see the first of a series that is born with it.
        for status in ["500", "503"] {
            self.0.http_requests.with_label_values(&[method, template, status]);
        }
    }
}

/// Three digits without an allocation.
fn status_text(status: u16, buffer: &mut [u8; 3]) -> &str {
    for (place, digit) in buffer.iter_mut().rev().zip([status % 10, status / 10 % 10, status / 100 % 10]) {
        *place = b'0' + digit as u8;
    }
    std::str::from_utf8(buffer).unwrap_or("000")
}

/// A number as gauges have it.
fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whole microseconds, as lines have them.
pub(crate) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
