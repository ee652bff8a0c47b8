//! A set of message numbers, kept as ranges: deletions come in runs, and a room may have millions of messages.

use serde::{Deserialize, Serialize};

/// Message numbers as sorted, disjoint, inclusive ranges that never touch.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeqSet(Vec<(u64, u64)>);

impl SeqSet {
    /// Index of the first range that ends at or after `seq`.
    fn at(&self, seq: u64) -> usize {
        self.0.partition_point(|&(_, end)| end < seq)
    }

    /// Whether `seq` is in it.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.0.get(self.at(seq)).is_some_and(|&(start, _)| start <= seq)
    }

    /// Puts `seq` in; says whether it is new.
    pub fn insert(&mut self, seq: u64) -> bool {
        if self.contains(seq) {
            return false;
        }
        let at = self.at(seq);
        let joins_next = self.0.get(at).is_some_and(|&(start, _)| seq.checked_add(1) == Some(start));
        let joins_previous = at
            .checked_sub(1)
            .and_then(|i| self.0.get(i))
            .is_some_and(|&(_, end)| end.checked_add(1) == Some(seq));
        match (joins_previous, joins_next) {
            (true, true) => {
                let (_, end) = self.0.remove(at);
                if let Some(range) = self.0.get_mut(at - 1) {
                    range.1 = end;
                }
            }
            (true, false) => {
                if let Some(range) = self.0.get_mut(at - 1) {
                    range.1 = seq;
                }
            }
            (false, true) => {
                if let Some(range) = self.0.get_mut(at) {
                    range.0 = seq;
                }
            }
            (false, false) => self.0.insert(at, (seq, seq)),
        }
        true
    }

    /// How many numbers in it are greater than `seq`.
    #[must_use]
    pub fn count_after(&self, seq: u64) -> u64 {
        let from = self.0.partition_point(|&(_, end)| end <= seq);
        self.0.get(from..).unwrap_or_default().iter().map(|&(start, end)| end - start.max(seq + 1) + 1).sum()
    }

    /// How many ranges it takes to hold it: its size in memory.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.0.len()
    }
}
