//! What one subscriber has seen of one publisher.

/// Tells the repeated from the late. Numbers on one destination are `step` apart, so they are kept as a bit each.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: Vec<u64>,
    highest: Option<u64>,
}

/// What a delivery was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Later than all before.
    InOrder,
    /// New, but something sent after it came earlier.
    Late,
    /// Seen before.
    Again,
}

/// Highest index kept: beyond it a marker is nonsense, and memory stays bounded.
const MAX_INDEX: u64 = 1 << 28;

impl Ledger {
    /// Takes note of message `number` where a destination gets every `step`th number of the publisher.
    pub fn record(&mut self, number: u64, step: u64) -> Delivery {
        let index = (number / step.max(1)).min(MAX_INDEX);
        let word = usize::try_from(index / 64).unwrap_or(usize::MAX);
        let bit = 1u64 << (index % 64);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if let Some(bits) = self.seen.get_mut(word) {
            if *bits & bit != 0 {
                return Delivery::Again;
            }
            *bits |= bit;
        }
        if self.highest.is_some_and(|highest| highest > index) {
            return Delivery::Late;
        }
        self.highest = Some(index);
        Delivery::InOrder
    }
}

#[cfg(test)]
mod tests {
    use super::Delivery::{Again, InOrder, Late};
    use super::*;

    #[test]
    fn tells_repeated_from_late() {
        let mut ledger = Ledger::default();
        let got: Vec<_> = [3, 13, 33, 23, 13, 43, 3].map(|number| ledger.record(number, 10)).into();
        assert_eq!(got, [InOrder, InOrder, InOrder, Late, Again, InOrder, Again]);
    }
}
