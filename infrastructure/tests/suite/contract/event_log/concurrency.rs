//! Many writers.

use super::fixture::*;
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::task::JoinSet;
use verbatim_application::ports::{AppendError, EventLog, StreamId};

const WRITERS: u64 = 8;
const APPENDS: u64 = 25;

/// Appends two events as whoever comes after the last one of the stream, however often others are faster.
async fn append_after_the_last(log: &dyn EventLog, stream: StreamId) {
    loop {
        let last = log.load(stream, 0, usize::MAX).await.unwrap().last().map_or(0, |e| e.sequence);
        match log.append(events(stream, last + 1..=last + 2), vec![], at(0)).await {
            Ok(_) => return,
            Err(AppendError::Conflict) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn write(fixture: &Fixture, stream_of: fn(u64) -> StreamId) -> Vec<Arc<dyn EventLog>> {
    // Half of the writers use a handle of their own, as another node would.
    let logs = [(fixture.open)().await, (fixture.open)().await];
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let log = Arc::clone(&logs[usize::from(writer % 2 == 0)]);
        writers.spawn(async move {
            for _ in 0..APPENDS {
                append_after_the_last(&*log, stream_of(writer)).await;
            }
        });
    }
    writers.join_all().await;
    logs.to_vec()
}

pub async fn eight_writers_on_one_stream_leave_no_gap(fixture: Fixture) {
    let logs = write(&fixture, |_| stream(1)).await;
    for log in &logs {
        let events = all(&**log).await;
        assert_eq!(events.len() as u64, 2 * WRITERS * APPENDS);
        assert_gapless(&events);
    }
}

pub async fn eight_writers_on_many_streams_leave_no_gap(fixture: Fixture) {
    let logs = write(&fixture, |writer| stream(u128::from(writer))).await;
    let events = all(&*logs[0]).await;
    assert_eq!(events.len() as u64, 2 * WRITERS * APPENDS);
    assert_gapless(&events);
    assert_eq!(logs[1].head().await.unwrap(), events.len() as u64);
}

pub async fn conflicts_in_a_crowd_hurt_nobody_else(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, vec![keyed(stream(0), 1, "taken")]).await;
    // All at once, so that many share a transaction. Every third is a conflict after a good event, every fourth a pair.
    let appends = (1..=300_u64).map(|n| {
        let own = stream(u128::from(n));
        let mut events = vec![event(own, 1)];
        if n % 3 == 0 {
            events.push(keyed(own, 2, "taken"));
        } else if n % 4 == 0 {
            events.push(event(own, 2));
        }
        log.append(events, vec![snapshot(own, 1, "state")], at(0))
    });
    let outcomes = join_all(appends).await;
    let events = all(&*log).await;
    assert_gapless(&events);
    let mut expected = 1;
    for (n, outcome) in (1..=300_u64).zip(outcomes) {
        let own = stream(u128::from(n));
        let stored = log.load(own, 0, 10).await.unwrap();
        let snapshot = log.load_snapshot(own).await.unwrap();
        if n % 3 == 0 {
            assert!(matches!(outcome, Err(AppendError::Conflict)), "{n}: {outcome:?}");
            assert!(stored.is_empty() && snapshot.is_none(), "{n} left something");
            continue;
        }
        let count = if n % 4 == 0 { 2 } else { 1 };
        assert_eq!(stored.len(), count, "{n}");
        assert!(snapshot.is_some());
        for (position, event) in (outcome.unwrap().first_position..).zip(stored) {
            assert_eq!(event.position, position, "the answer names the place");
        }
        expected += count;
    }
    assert_eq!(events.len(), expected);
}

pub async fn a_reader_at_the_tail_sees_each_event_once_in_order(fixture: Fixture) {
    let (writing, reading) = ((fixture.open)().await, (fixture.open)().await);
    let total = WRITERS * APPENDS;
    let reader = tokio::spawn(async move {
        let mut hint = reading.head_hint();
        let mut seen = Vec::new();
        while (seen.len() as u64) < total {
            let batch = reading.read(seen.len() as u64, 50).await.unwrap();
            if batch.is_empty() {
                hint.changed().await.unwrap();
            }
            seen.extend(batch);
        }
        seen
    });
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let log = Arc::clone(&writing);
        writers.spawn(async move {
            for sequence in 1..=APPENDS {
                append(&*log, vec![event(stream(u128::from(writer)), sequence)]).await;
            }
        });
    }
    writers.join_all().await;
    assert_gapless(&reader.await.unwrap());
}

pub async fn the_hint_moves_with_the_head(fixture: Fixture) {
    let log = (fixture.open)().await;
    let mut hint = log.head_hint();
    append(&*log, events(stream(1), 1..=3)).await;
    hint.wait_for(|head| *head == 3).await.unwrap();
    conflict(&*log, vec![event(stream(1), 1)]).await;
    assert_eq!(*log.head_hint().borrow(), 3);
}

pub async fn a_second_handle_sees_and_is_seen(fixture: Fixture) {
    let (one, other) = ((fixture.open)().await, (fixture.open)().await);
    let mut hint = other.head_hint();
    append(&*one, vec![keyed(stream(1), 1, "a")]).await;
    hint.wait_for(|head| *head == 1).await.unwrap();
    assert_eq!(other.head().await.unwrap(), 1);
    conflict(&*other, vec![event(stream(1), 1)]).await;
    conflict(&*other, vec![keyed(stream(2), 1, "a")]).await;
    assert_eq!(append(&*other, vec![event(stream(1), 2)]).await, 2);
    assert_eq!(append(&*one, vec![event(stream(1), 3)]).await, 3);
    assert_gapless(&all(&*other).await);
}

/// Whoever has a turn never loses a race, however many others write without one. A log of one writer needs no turns.
pub async fn nobody_is_before_who_has_the_turn(fixture: Fixture) {
    let (log, other) = ((fixture.open)().await, (fixture.open)().await);
    if log.turn().await.unwrap().is_none() {
        return;
    }
    let mut rivals = JoinSet::new();
    for _ in 0..4 {
        let other = Arc::clone(&other);
        rivals.spawn(async move {
            for _ in 0..APPENDS {
                append_after_the_last(&*other, stream(1)).await;
            }
        });
    }
    for _ in 0..APPENDS {
        let turn = log.turn().await.unwrap().expect("a turn");
        let last = log.load(stream(1), 0, usize::MAX).await.unwrap().last().map_or(0, |e| e.sequence);
        tokio::task::yield_now().await;
        let next = events(stream(1), last + 1..=last + 2);
        log.append_in_turn(turn, next, vec![], at(0)).await.expect("nobody was before it");
    }
    rivals.join_all().await;
    let events = all(&*log).await;
    assert_eq!(events.len() as u64, 2 * 5 * APPENDS);
    assert_gapless(&events);
}

/// A turn that comes to nothing holds nobody up, and one that ends in a conflict neither.
pub async fn a_turn_is_given_back(fixture: Fixture) {
    let (log, other) = ((fixture.open)().await, (fixture.open)().await);
    append(&*other, vec![event(stream(1), 1)]).await;
    for sequence in 2..6 {
        let Some(turn) = log.turn().await.unwrap() else { return };
        match sequence % 2 {
            0 => drop(turn),
            _ => {
                let taken = vec![event(stream(2), 1), event(stream(1), 1)];
                let outcome = log.append_in_turn(turn, taken, vec![], at(0)).await;
                assert!(matches!(outcome, Err(AppendError::Conflict)), "{outcome:?}");
            }
        }
        assert_eq!(append(&*other, vec![event(stream(1), sequence)]).await, sequence);
    }
    assert_gapless(&all(&*log).await);
}
