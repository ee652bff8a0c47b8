//! A shard's bounded cache of aggregates.

use super::any::Aggregate;
use crate::ports::StreamId;
use lru::LruCache;
use std::time::Instant;

/// An aggregate as of some event.
#[derive(Debug, Clone)]
pub(super) struct Cached {
    pub(super) state: Aggregate,
    /// Sequence of the last event in `state`.
    pub(super) sequence: u64,
    /// Sequence of the newest snapshot that is stored or on its way.
    pub(super) snapshot_at: u64,
    /// When this was the newest state in the log for sure.
    pub(super) checked: Instant,
    weight: usize,
}

impl Cached {
    pub(super) fn new(state: Aggregate, sequence: u64, snapshot_at: u64) -> Self {
        Self { state, sequence, snapshot_at, checked: Instant::now(), weight: 0 }
    }
}

/// Least-recently-used first out, bounded by weight.
pub(super) struct Cache {
    entries: LruCache<StreamId, Cached>,
    weight: usize,
    /// Most that it keeps, in units of [`Aggregate::weight`].
    weight_max: usize,
}

impl Cache {
    pub(super) fn new(weight_max: usize) -> Self {
        Self { entries: LruCache::unbounded(), weight: 0, weight_max }
    }

    pub(super) fn contains(&self, stream: &StreamId) -> bool {
        self.entries.contains(stream)
    }

    pub(super) fn get(&mut self, stream: &StreamId) -> Option<&mut Cached> {
        self.entries.get_mut(stream)
    }

    pub(super) fn put(&mut self, stream: StreamId, cached: Cached) {
        self.weight += cached.weight;
        if let Some(old) = self.entries.put(stream, cached) {
            self.weight -= old.weight;
        }
    }

    pub(super) fn remove(&mut self, stream: &StreamId) -> Option<Cached> {
        let old = self.entries.pop(stream)?;
        self.weight -= old.weight;
        Some(old)
    }

    /// Weighs again what a batch touched, and lets go of the least recently used until the bound holds. Not called
    /// within a batch: what a batch has loaded stays until it is answered.
    pub(super) fn settle(&mut self, touched: impl Iterator<Item = StreamId>) {
        for stream in touched {
            match self.entries.peek_mut(&stream) {
                // What does not exist is not worth a place: it is looked for in the log each time anyway.
                Some(cached) if cached.sequence == 0 => {
                    self.remove(&stream);
                }
                Some(cached) => {
                    self.weight -= cached.weight;
                    cached.weight = cached.state.weight();
                    self.weight += cached.weight;
                }
                None => {}
            }
        }
        while self.weight > self.weight_max {
            let Some((_, old)) = self.entries.pop_lru() else { break };
            self.weight -= old.weight;
        }
    }
}
