//! Streams that other writers keep writing to.

use super::{
    limits::{CONTENDED_FOR, CONTENDED_MAX},
    shard::Waiting,
};
use crate::ports::StreamId;
use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

/// Streams that races were lost for, each with when another writer was last seen there.
#[derive(Default)]
pub(super) struct Contended(HashMap<StreamId, Instant>);

impl Contended {
    /// Notes that another writer was seen in these just now.
    pub(super) fn mark(&mut self, streams: impl IntoIterator<Item = StreamId>) {
        let now = Instant::now();
        for stream in streams {
            if self.0.len() < CONTENDED_MAX || self.0.contains_key(&stream) {
                self.0.insert(stream, now);
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Splits off those of a batch that need one of them; see [`split`].
    pub(super) fn split(&mut self, batch: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
        if self.0.is_empty() {
            return (batch, Vec::new());
        }
        let now = Instant::now();
        self.0.retain(|_, seen| now.duration_since(*seen) < CONTENDED_FOR);
        split(batch, self.0.keys().copied().collect())
    }
}

/// Splits off those of a batch that need one of `streams`, so that a room that is fought over holds up nobody else. The
/// order within each aggregate is kept.
pub(super) fn split(batch: Vec<Waiting>, mut streams: HashSet<StreamId>) -> (Vec<Waiting>, Vec<Waiting>) {
    // One that waits makes all behind it wait that share an aggregate with it.
    batch.into_iter().partition(|waiting| {
        let steps = &waiting.intent.steps;
        let calm = !steps.iter().any(|step| streams.contains(&step.stream));
        if !calm {
            streams.extend(steps.iter().map(|step| step.stream));
        }
        calm
    })
}
