//! What the log is told of an append.

use super::{
    decision::{Outcome, Verdict},
    observer::Traced,
    shard::{Shard, Waiting},
};
use crate::{codec::Event, trace::EVENT_LINES_MAX};
use std::time::{Duration, Instant};

/// An append that is durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Append {
    /// Position of its first event.
    pub(super) first: u64,
    /// How many events it has.
    pub(super) events: usize,
    /// When its batch began.
    pub(super) began: Instant,
    /// How long the log took.
    pub(super) took: Duration,
}

impl Shard {
    /// Tells of an append, before those who asked for it are answered.
    pub(super) fn tell(&self, append: Append, batch: &[Waiting], verdicts: &[Verdict]) {
        let Append { first, events, took, .. } = append;
        let each = events <= EVENT_LINES_MAX;
        if !each {
            let (upto, latency_us) = (first + events as u64 - 1, micros(took));
            tracing::info!(position = first, upto, events, latency_us, "appended");
        }
        for (waiting, verdict) in batch.iter().zip(verdicts) {
            let sampled = waiting.intent.trace.is_some_and(|trace| trace.is_sampled());
            if !each && !sampled {
                continue;
            }
            let Ok(outcomes) = verdict else { continue };
            for outcome in outcomes {
                if let Outcome::Decided { first: index, events } = outcome {
                    self.tell_events(append, waiting, *index, events);
                }
            }
            if sampled {
                Traced::of(append, waiting).iter().for_each(|traced| self.observer.traced(traced));
            }
        }
    }

    fn tell_events(&self, append: Append, waiting: &Waiting, index: usize, events: &[Event]) {
        let intent = &waiting.intent;
        for (number, event) in events.iter().enumerate() {
            let about = event.about();
            tracing::info!(
                correlation_id = intent.correlation_id.as_deref(),
                causation_id = intent.trace.as_ref().map(|trace| display(trace.span_id())),
                trace_id = intent.trace.as_ref().map(|trace| display(trace.trace_id())),
                member_id = intent.actor.map(display),
                room_id = about.room_id.map(display),
                message_id = about.message_id.map(display),
                seq = about.seq,
                position = append.first + (index + number) as u64,
                latency_us = micros(append.took),
                "appended"
            );
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
