//! The clock and the source of ids of this machine: the only places that may ask for them.

use chrono::SubsecRound;
use uuid::Uuid;
use verbatim_application::ports::{Clock, IdGenerator};
use verbatim_domain::Timestamp;

/// The system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is what the Clock port stands for")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now().trunc_subsecs(6)
    }
}

/// UUIDv7 from the system's clock and random source. Within one process each is greater than the one before: the
/// library counts within a millisecond (RFC 9562 section 6.2, method 1) and never follows the clock backwards.
#[derive(Debug, Default, Clone, Copy)]
pub struct UuidV7Generator;

impl IdGenerator for UuidV7Generator {
    #[expect(clippy::disallowed_methods, reason = "this is what the IdGenerator port stands for")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Timelike;

    #[test]
    fn time_has_microseconds_and_no_more() {
        let now = SystemClock.now();
        assert_eq!(now.nanosecond() % 1_000, 0);
        assert!(now >= chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap());
    }

    #[test]
    fn ids_rise_and_are_of_version_7() {
        let ids: Vec<_> = (0..10_000).map(|_| UuidV7Generator.next()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn ids_of_several_threads_are_all_different() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..5_000).map(|_| UuidV7Generator.next()).collect::<Vec<_>>()))
            .collect();
        let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 20_000);
    }
}
