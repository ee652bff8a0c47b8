//! How far a rebuild is.

use super::gauge;
use prometheus::{IntGauge, IntGaugeVec};
use verbatim_observability::Metrics;
use verbatim_projections::Progress;

/// Shows how far a rebuild of some projections is, in this process.
pub(crate) struct Rebuilding {
    done: Vec<IntGauge>,
    target: Vec<IntGauge>,
}

impl Rebuilding {
    /// For the projections of these names.
    pub(crate) fn new(metrics: &Metrics, names: &[String]) -> Self {
        let of = |gauges: &IntGaugeVec| {
            names.iter().map(|name| gauges.with_label_values(&[name.as_str()])).collect()
        };
        Self { done: of(&metrics.rebuild_done), target: of(&metrics.rebuild_target) }
    }

    pub(crate) fn progress(&self, progress: Progress) {
        self.show(progress.done, progress.total);
    }

    /// There is none, or it has ended badly: what is left of it would look like one that is stuck.
    pub(crate) fn none(&self) {
        self.show(0, 0);
    }

    fn show(&self, done: u64, target: u64) {
        self.done.iter().for_each(|shown| shown.set(gauge(done)));
        self.target.iter().for_each(|shown| shown.set(gauge(target)));
    }
}
