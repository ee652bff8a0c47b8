//! What a run found, as lines for people and as JSON for `bench`.

use crate::process::Usage;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latency in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half were faster.
    pub p50: f64,
    /// All but a hundredth were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Quantiles {
    /// From a histogram in microseconds.
    pub(crate) fn of(micros: &Histogram<u64>) -> Self {
        let ms = |value: u64| value as f64 / 1e3;
        Self {
            p50: ms(micros.value_at_quantile(0.5)),
            p99: ms(micros.value_at_quantile(0.99)),
            max: ms(micros.max()),
        }
    }

    fn text(&self) -> String {
        format!("p50 {:.2} p99 {:.2} max {:.2}", self.p50, self.p99, self.max)
    }
}

/// Memory of a server that holds idle connections.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Hold {
    /// Resident KiB before the first connection.
    pub before_kib: u64,
    /// Resident KiB with all of them.
    pub after_kib: u64,
    /// The difference, by connection.
    pub kib_each: f64,
    /// Processor seconds over the hold.
    pub cpu_seconds: f64,
}

impl Hold {
    pub(super) fn new(before: Usage, after: Usage, connections: usize) -> Self {
        Self {
            before_kib: before.rss_kib,
            after_kib: after.rss_kib,
            kib_each: (after.rss_kib as f64 - before.rss_kib as f64) / connections.max(1) as f64,
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        }
    }

    pub(super) fn line(&self) -> String {
        format!(
            "server RSS {} KiB -> {} KiB, {:.1} KiB a connection, cpu {:.2} s",
            self.before_kib, self.after_kib, self.kib_each, self.cpu_seconds
        )
    }
}

/// The whole result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Subscribers that listened.
    pub subscribers: usize,
    /// Subscribers that were asked for.
    pub asked: usize,
    /// Until all of them did.
    pub connect_seconds: f64,
    /// Messages with a RECEIPT.
    pub accepted: u64,
    /// From the first send to the last receipt.
    pub accept_seconds: f64,
    /// Send to RECEIPT.
    pub receipts: Quantiles,
    /// Deliveries that should come: accepted messages times their subscribers.
    pub expected: u64,
    /// Different deliveries that came.
    pub delivered: u64,
    /// From the first send to the last delivery.
    pub deliver_seconds: f64,
    /// Send (or when it was due) to delivery.
    pub latency: Quantiles,
    /// Deliveries seen before.
    pub duplicated: u64,
    /// Deliveries overtaken by a later message of the same publisher.
    pub out_of_order: u64,
    /// Subscribers that never listened or were cut off.
    pub failed_subscribers: u64,
    /// Resident memory of `--pid` at the end.
    pub server_rss_kib: u64,
    /// Processor time of `--pid` over the run.
    pub server_cpu_seconds: f64,
    /// With `--hold` and `--pid` only.
    pub hold: Option<Hold>,
    #[serde(skip)]
    pub(super) start_micros: u64,
}

impl Summary {
    /// Messages with a RECEIPT, by second.
    pub fn accepted_rate(&self) -> f64 {
        rate(self.accepted, self.accept_seconds)
    }

    /// Deliveries by second.
    pub fn delivered_rate(&self) -> f64 {
        rate(self.delivered, self.deliver_seconds)
    }

    /// Expected deliveries that never came.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.delivered)
    }

    pub(super) fn subscribers_line(&self) -> String {
        format!("subscribers up: {} of {} in {:.2} s", self.subscribers, self.asked, self.connect_seconds)
    }

    pub(super) fn load_lines(&self, with_server: bool) -> Vec<String> {
        let mut lines = vec![
            format!(
                "accepted {} in {:.2} s = {:.0}/s; receipt ms {}",
                self.accepted,
                self.accept_seconds,
                self.accepted_rate(),
                self.receipts.text()
            ),
            format!(
                "delivered {} of {} in {:.2} s = {:.0}/s; latency ms {}",
                self.delivered,
                self.expected,
                self.deliver_seconds,
                self.delivered_rate(),
                self.latency.text()
            ),
            format!(
                "lost {} duplicated {} out-of-order {} failed-subscribers {}",
                self.lost(),
                self.duplicated,
                self.out_of_order,
                self.failed_subscribers
            ),
        ];
        if with_server {
            lines.push(format!(
                "server RSS {} MiB, cpu {:.2} s over the run",
                self.server_rss_kib / 1024,
                self.server_cpu_seconds
            ));
        }
        lines
    }
}

fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
