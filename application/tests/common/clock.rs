//! Time and ids in the order of asking.

use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;
use verbatim_application::ports::{Clock, IdGenerator};
use verbatim_domain::Timestamp;

/// A clock that ticks a microsecond each time it is looked at.
#[derive(Default)]
pub(crate) struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        let ticks = i64::try_from(self.0.fetch_add(1, Ordering::SeqCst)).expect("few ticks");
        Timestamp::from_timestamp_micros(1_700_000_000_000_000 + ticks).expect("a time")
    }
}

/// Ids that count up, far from those that tests make themselves.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl IdGenerator for Counter {
    fn next(&self) -> Uuid {
        Uuid::from_u128((0x0190_f5a2_u128 << 96) + u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}
