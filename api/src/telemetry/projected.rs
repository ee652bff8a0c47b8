//! How far a projection is, in events and in seconds.

use super::{
    gauge, micros,
    spans::{self, Ended},
};
use std::{
    // The std mutex: it is held for a few assignments only.
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use verbatim_application::{TraceContext, codec::Envelope, ports::Clock, trace::EVENT_LINES_MAX};
use verbatim_domain::Timestamp;
use verbatim_observability::{Metrics, SpanKind};
use verbatim_projections::{BatchReport, Observer};

struct Shared {
    name: &'static str,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    /// Where the log ends.
    head: watch::Receiver<u64>,
    /// How far the projection is, once that is known.
    applied: OnceLock<watch::Receiver<u64>>,
    leading: AtomicBool,
    /// What is missing happened after this.
    since: Mutex<Timestamp>,
}

/// Watches the runner of one projection, or of several that keep one position.
#[derive(Clone)]
pub(crate) struct Projected(Arc<Shared>);

impl Projected {
    /// Shows the projection under this name (`read_models`, `unread_redis`). `head` is the log's
    /// [`head_hint`](verbatim_application::ports::EventLog::head_hint). Until told otherwise, another node runs it.
    pub(crate) fn new(
        name: &'static str,
        metrics: &Metrics,
        clock: Arc<dyn Clock>,
        head: watch::Receiver<u64>,
    ) -> Self {
        let since = Mutex::new(clock.now());
        let (applied, leading) = (OnceLock::new(), AtomicBool::new(false));
        let metrics = metrics.clone();
        let shared = Arc::new(Shared { name, metrics, clock, head, applied, leading, since });
        let of_metrics = Arc::downgrade(&shared);
        shared.metrics.before_scrape(move || {
            if let Some(shared) = of_metrics.upgrade() {
                shared.show();
            }
        });
        Self(shared)
    }

    /// Says where to look how far it is. It can be said once.
    pub(crate) fn follow(&self, applied: watch::Receiver<u64>) {
        let _ = self.0.applied.set(applied);
    }

    /// Notes whether this node runs the projection. Another one does not know of what time it is: it shows the lag in
    /// events only.
    pub(crate) fn lead(&self, leading: bool) {
        if self.0.leading.swap(leading, Ordering::Relaxed) != leading {
            *self.0.since() = self.0.clock.now();
        }
    }
}

impl Shared {
    fn since(&self) -> MutexGuard<'_, Timestamp> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let (labels, metrics) = ([self.name], &self.metrics);
        let leading = self.leading.load(Ordering::Relaxed);
        metrics.projection_leading.with_label_values(&labels).set(leading.into());
        let Some(applied) = self.applied.get() else { return };
        let applied = *applied.borrow();
        // The log tells of its head also while the runner can't go on.
        let lag = self.head.borrow().saturating_sub(applied);
        metrics.projection_position.with_label_values(&labels).set(gauge(applied));
        metrics.projection_lag.with_label_values(&labels).set(gauge(lag));
        if !leading {
            // 0 would say that all is well. What is not there need not be removed.
            let _ = metrics.projection_lag_seconds.remove_label_values(&labels);
            return;
        }
        let now = self.clock.now();
        let mut since = self.since();
        if lag == 0 {
            *since = now;
        }
        metrics
            .projection_lag_seconds
            .with_label_values(&labels)
            .set((now - *since).as_seconds_f64().max(0.0));
    }
}

impl Observer for Projected {
    fn applied(&self, report: BatchReport) {
        self.0.metrics.projection_batch_events.observe(report.events as f64);
        self.0.metrics.projection_batch_seconds.observe(report.took.as_secs_f64());
    }

    fn projected(&self, events: &[Envelope], took: Duration) {
        let Some(last) = events.last() else { return };
        let caught_up = *self.0.head.borrow() <= last.position;
        *self.0.since() = if caught_up { self.0.clock.now() } else { last.recorded_at };
        tell(self.0.name, events, took);
    }

    fn leads(&self, leading: bool) {
        self.lead(leading);
    }

    fn failed(&self, _error: &(dyn std::error::Error + 'static)) {
        self.0.metrics.projection_failures.inc();
    }
}

/// Writes the lines of a batch that was applied.
fn tell(projection: &'static str, events: &[Envelope], took: Duration) {
    let latency_us = micros(took);
    let each = events.len() <= EVENT_LINES_MAX;
    if let ([first, .., last], false) = (events, each) {
        let (position, upto, events) = (first.position, last.position, events.len());
        tracing::info!(projection, position, upto, events, latency_us, "projected");
    }
    for event in events {
        let trace = event.trace();
        if !each && !trace.is_some_and(TraceContext::is_sampled) {
            continue;
        }
        let (about, metadata) = (event.event.about(), event.metadata());
        if let Some(step) = trace.and_then(spans::next) {
            let say = || (format!("project {projection}"), spans::about(about, event.position));
            spans::record(step, SpanKind::Consumer, Ended::now(took), say);
        }
        tracing::info!(
            projection,
            correlation_id = metadata.correlation_id,
            causation_id = metadata.causation_id,
            trace_id = trace.as_ref().map(|trace| display(trace.trace_id())),
            room_id = about.room_id.map(display),
            message_id = about.message_id.map(display),
            seq = about.seq,
            position = event.position,
            latency_us,
            "projected"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verbatim_domain::{MemberId, member::MemberEvent};

    /// A clock that is set by hand, in seconds.
    #[derive(Default)]
    struct Watch(std::sync::atomic::AtomicI64);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    impl Clock for Watch {
        fn now(&self) -> Timestamp {
            at(self.0.load(Ordering::Relaxed))
        }
    }

    fn event(position: u64, recorded: i64) -> Envelope {
        let member_id = MemberId::from_uuid(uuid::Uuid::nil());
        let role = verbatim_domain::member::MemberRole::Admin;
        let event = verbatim_application::codec::Event::Member(MemberEvent::MemberRoleChanged {
            member_id,
            role,
            at: at(recorded),
        });
        Envelope { position, sequence: 1, recorded_at: at(recorded), event, metadata: "{}".to_owned() }
    }

    #[test]
    fn the_lag_is_as_old_as_what_is_missing() {
        let (metrics, clock) = (Metrics::new().unwrap(), Arc::new(Watch::default()));
        let (head, applied) = (watch::Sender::new(0), watch::Sender::new(0));
        let projected = Projected::new("read_models", &metrics, clock.clone(), head.subscribe());
        let shown = |what: &str| {
            let name = format!("verbatim_projection_{what}{{projection=\"read_models\"}} ");
            let text = metrics.text();
            let value = text.lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
            value.map(|value| value.parse::<f64>().unwrap())
        };
        assert_eq!((shown("leading"), shown("lag_events")), (Some(0.0), None));
        projected.follow(applied.subscribe());
        assert_eq!((shown("lag_events"), shown("lag_seconds")), (Some(0.0), None), "another node runs it");
        clock.0.store(100, Ordering::Relaxed);
        projected.lead(true);
        assert_eq!((shown("leading"), shown("lag_seconds")), (Some(1.0), Some(0.0)));
        // Nothing is applied, and the runner says nothing.
        head.send_replace(7);
        clock.0.store(130, Ordering::Relaxed);
        assert_eq!((shown("lag_events"), shown("lag_seconds")), (Some(7.0), Some(30.0)));
        // It goes on, and what it has applied is of second 110.
        applied.send_replace(4);
        projected.projected(&[event(4, 110)], Duration::ZERO);
        assert_eq!((shown("lag_events"), shown("lag_seconds")), (Some(3.0), Some(20.0)));
        applied.send_replace(7);
        projected.projected(&[event(7, 111)], Duration::ZERO);
        assert_eq!((shown("lag_events"), shown("lag_seconds")), (Some(0.0), Some(0.0)));
        assert_eq!(shown("position"), Some(7.0));
        projected.lead(false);
        assert_eq!(
            (shown("leading"), shown("lag_events"), shown("lag_seconds")),
            (Some(0.0), Some(0.0), None)
        );
    }
}
