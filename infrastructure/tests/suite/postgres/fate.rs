//! What an append said happened, held against what did.

use crate::contract::event_log::*;
use std::{collections::HashMap, time::Duration};
use verbatim_application::ports::{AppendError, Appended, EventLog};
use verbatim_infrastructure::{
    PostgresEventLog,
    postgres::{ANSWER_LIMIT, READY_LIMIT},
};

/// No call takes longer: waiting for a connection, making the statement known, its answer; and a slow machine.
pub const LIMIT: Duration = READY_LIMIT.saturating_add(ANSWER_LIMIT).saturating_add(Duration::from_secs(2));
/// Between two tries while something is away.
pub const PAUSE: Duration = Duration::from_millis(50);

/// What an append of three events came to, by its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// With its first position.
    Confirmed(u64),
    Refused,
    Unknown,
}

pub fn fate(outcome: &Result<Appended, AppendError>) -> Fate {
    match outcome {
        Ok(appended) => Fate::Confirmed(appended.first_position),
        Err(AppendError::Conflict | AppendError::Unavailable(_)) => Fate::Refused,
        Err(AppendError::Unknown(_)) => Fate::Unknown,
    }
}

/// The log is gapless, holds every confirmed append where it was said to be, and none that was refused; an unknown one is
/// there as a whole or not at all.
pub async fn assert_honest(log: &PostgresEventLog, fates: &HashMap<u128, Fate>) {
    let stored = all(log).await;
    assert_gapless(&stored);
    let mut found: HashMap<u128, Vec<u64>> = HashMap::new();
    for event in stored.iter().filter(|event| event.aggregate_id != stream(1).aggregate_id) {
        found.entry(event.aggregate_id.as_u128()).or_default().push(event.position);
    }
    let mut counts = [0; 3];
    for (own, fate) in fates {
        let positions = found.remove(own).unwrap_or_default();
        let snapshot = log.load_snapshot(stream(*own)).await.unwrap();
        assert_eq!(snapshot.is_some(), !positions.is_empty(), "snapshots share the fate of their events");
        match fate {
            Fate::Confirmed(first) => assert_eq!(positions, [*first, first + 1, first + 2]),
            Fate::Refused => assert!(positions.is_empty(), "refused, and there"),
            Fate::Unknown => assert!([0, 3].contains(&positions.len())),
        }
        counts[match fate {
            Fate::Confirmed(_) => 0,
            Fate::Refused => 1,
            Fate::Unknown => 2,
        }] += 1;
    }
    assert!(found.is_empty(), "nobody appended these: {found:?}");
    println!("appends confirmed, refused, unknown: {counts:?}");
}
