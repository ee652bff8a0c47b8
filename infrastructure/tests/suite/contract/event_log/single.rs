//! One writer.

use super::fixture::*;
use uuid::Uuid;
use verbatim_application::ports::{NewEvent, READ_BATCH_MAX, RecordedEvent, Snapshot, StreamId};

pub async fn an_empty_log_has_nothing(fixture: Fixture) {
    let log = (fixture.open)().await;
    assert_eq!(log.head().await.unwrap(), 0);
    assert_eq!(*log.head_hint().borrow(), 0);
    assert_eq!(log.read(0, 10).await.unwrap(), []);
    assert_eq!(log.read(u64::MAX, 10).await.unwrap(), []);
    assert_eq!(log.load(stream(1), 0, 10).await.unwrap(), []);
    assert_eq!(log.load_snapshot(stream(1)).await.unwrap(), None);
    assert_eq!(log.find_by_idempotency_keys(vec!["key".to_owned()]).await.unwrap(), []);
    assert_eq!(log.find_by_idempotency_keys(vec![]).await.unwrap(), []);
}

pub async fn what_is_appended_is_read_back_to_the_byte(fixture: Fixture) {
    let log = (fixture.open)().await;
    let payload = r#"{"body":"Grüße, 世界 👩‍👩‍👧 \u0000 \" ' ; -- \\ עברית e\u0301"}"#;
    let sent = NewEvent {
        stream: StreamId { aggregate_type: "read_cursor", aggregate_id: Uuid::from_u128(u128::MAX) },
        sequence: 1,
        event_type: "ReadCursorMoved",
        event_version: "17",
        payload: payload.to_owned(),
        metadata: r#"{"actor":"👻"}"#.to_owned(),
        idempotency_key: Some("room/1:kéy".to_owned()),
    };
    let other = event(stream(2), 1);
    let appended = log.append(vec![sent.clone(), other.clone()], vec![], at(7)).await.unwrap();
    assert_eq!(appended.first_position, 1);
    let expected = |position, event: &NewEvent| RecordedEvent {
        position,
        recorded_at: at(7),
        aggregate_type: event.stream.aggregate_type.to_owned(),
        aggregate_id: event.stream.aggregate_id,
        sequence: event.sequence,
        event_type: event.event_type.to_owned(),
        event_version: event.event_version.to_owned(),
        payload: event.payload.clone(),
        metadata: event.metadata.clone(),
        idempotency_key: event.idempotency_key.clone(),
    };
    assert_eq!(log.read(0, 10).await.unwrap(), [expected(1, &sent), expected(2, &other)]);
    assert_eq!(log.load(sent.stream, 0, 10).await.unwrap(), [expected(1, &sent)]);
    let found = log.find_by_idempotency_keys(vec!["room/1:kéy".to_owned()]).await.unwrap();
    assert_eq!(found, [expected(1, &sent)]);
    assert_eq!(log.head().await.unwrap(), 2);
}

pub async fn reading_starts_after_and_stops_at_the_limit(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, events(stream(1), 1..=5)).await;
    assert_eq!(append(&*log, events(stream(2), 1..=5)).await, 6);
    let positions = |events: Vec<RecordedEvent>| events.iter().map(|e| e.position).collect::<Vec<_>>();
    let sequences = |events: Vec<RecordedEvent>| events.iter().map(|e| e.sequence).collect::<Vec<_>>();
    assert_eq!(positions(log.read(0, 3).await.unwrap()), [1, 2, 3]);
    assert_eq!(positions(log.read(3, 4).await.unwrap()), [4, 5, 6, 7]);
    assert_eq!(positions(log.read(8, 100).await.unwrap()), [9, 10]);
    assert_eq!(positions(log.read(10, 100).await.unwrap()), [0; 0]);
    assert_eq!(positions(log.read(0, 0).await.unwrap()), [0; 0]);
    assert_eq!(sequences(log.load(stream(2), 0, 2).await.unwrap()), [1, 2]);
    assert_eq!(sequences(log.load(stream(2), 2, 100).await.unwrap()), [3, 4, 5]);
    assert_eq!(sequences(log.load(stream(2), 5, 100).await.unwrap()), [0; 0]);
    assert_eq!(sequences(log.load(stream(2), u64::MAX, 100).await.unwrap()), [0; 0]);
}

pub async fn no_batch_is_larger_than_the_largest(fixture: Fixture) {
    let log = (fixture.open)().await;
    let most = READ_BATCH_MAX as u64;
    append(&*log, events(stream(1), 1..=most + 1)).await;
    assert_eq!(log.read(0, usize::MAX).await.unwrap().len(), READ_BATCH_MAX);
    assert_eq!(log.load(stream(1), 0, usize::MAX).await.unwrap().len(), READ_BATCH_MAX);
    assert_eq!(log.read(most, usize::MAX).await.unwrap().len(), 1);
}

pub async fn an_empty_append_changes_nothing(fixture: Fixture) {
    let log = (fixture.open)().await;
    log.append(vec![], vec![], at(0)).await.unwrap();
    assert_eq!(log.head().await.unwrap(), 0);
    assert_eq!(append(&*log, vec![event(stream(1), 1)]).await, 1);
}

pub async fn a_sequence_is_taken_once(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, events(stream(1), 1..=2)).await;
    conflict(&*log, vec![event(stream(1), 2)]).await;
    conflict(&*log, vec![event(stream(2), 1), event(stream(2), 1)]).await;
    assert_eq!(append(&*log, vec![event(stream(1), 3)]).await, 3);
}

pub async fn an_idempotency_key_is_taken_once_in_the_whole_log(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, vec![keyed(stream(1), 1, "a")]).await;
    conflict(&*log, vec![keyed(stream(2), 1, "a")]).await;
    conflict(&*log, vec![keyed(stream(1), 2, "b"), keyed(stream(1), 3, "b")]).await;
    append(&*log, vec![keyed(stream(2), 1, "A"), event(stream(2), 2), event(stream(2), 3)]).await;
    assert_eq!(log.head().await.unwrap(), 4);
}

pub async fn an_append_with_a_conflict_leaves_nothing_and_no_gap(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, vec![event(stream(2), 1)]).await;
    let before = all(&*log).await;
    let middle = vec![event(stream(1), 1), event(stream(2), 1), event(stream(3), 1)];
    conflict(&*log, middle).await;
    let last = vec![event(stream(1), 1), event(stream(3), 1), event(stream(2), 1)];
    conflict(&*log, last).await;
    assert_eq!(all(&*log).await, before);
    assert_eq!(append(&*log, vec![event(stream(1), 1), event(stream(3), 1)]).await, 2);
    assert_gapless(&all(&*log).await);
}

pub async fn events_are_found_by_their_keys(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, vec![keyed(stream(1), 1, "a"), event(stream(1), 2), keyed(stream(1), 3, "b")]).await;
    append(&*log, vec![keyed(stream(2), 1, "c")]).await;
    let keys = ["c", "nobody's", "a"].map(str::to_owned).to_vec();
    let mut found = log.find_by_idempotency_keys(keys).await.unwrap();
    found.sort_by_key(|event| event.position);
    assert_eq!(found.iter().map(|e| e.position).collect::<Vec<_>>(), [1, 4]);
}

pub async fn streams_are_told_apart_by_type_and_id(fixture: Fixture) {
    let log = (fixture.open)().await;
    let room = stream(1);
    let member = StreamId { aggregate_type: "member", ..room };
    append(&*log, vec![event(room, 1), event(member, 1), event(stream(2), 1)]).await;
    assert_eq!(log.load(member, 0, 10).await.unwrap().len(), 1);
    assert_eq!(log.load(room, 0, 10).await.unwrap()[0].aggregate_type, "room");
}

pub async fn the_newest_snapshot_is_kept(fixture: Fixture) {
    let log = (fixture.open)().await;
    let (one, other) = (stream(1), stream(2));
    let store = async |sequence, payload: &str| {
        let event = event(one, sequence);
        log.append(vec![event], vec![snapshot(one, sequence, payload)], at(0)).await.unwrap();
        log.load_snapshot(one).await.unwrap()
    };
    let stored = |sequence, state| Some(Snapshot { sequence, payload: snapshot_payload(state) });
    assert_eq!(store(1, "first").await, stored(1, "first"));
    assert_eq!(store(2, "second").await, stored(2, "second"));
    assert_eq!(log.load_snapshot(other).await.unwrap(), None);
    // One that comes late, from a slower node, does not hide a newer one; the same one again is replaced.
    let late = vec![snapshot(one, 1, "late"), snapshot(other, 1, "x"), snapshot(other, 1, "y")];
    log.append(vec![event(other, 1)], late, at(0)).await.unwrap();
    assert_eq!(log.load_snapshot(one).await.unwrap(), stored(2, "second"));
    assert_eq!(log.load_snapshot(other).await.unwrap(), stored(1, "y"));
}

pub async fn snapshots_share_the_fate_of_their_events(fixture: Fixture) {
    let log = (fixture.open)().await;
    append(&*log, vec![event(stream(1), 1)]).await;
    let outcome = log.append(vec![event(stream(1), 1)], vec![snapshot(stream(1), 1, "no")], at(0)).await;
    assert!(outcome.is_err());
    assert_eq!(log.load_snapshot(stream(1)).await.unwrap(), None);
}

pub async fn a_megabyte_fits(fixture: Fixture) {
    let log = (fixture.open)().await;
    let body = "ß".repeat(512 * 1024);
    let large = NewEvent { payload: format!(r#"{{"body":"{body}"}}"#), ..event(stream(1), 1) };
    append(&*log, vec![large.clone(), event(stream(1), 2)]).await;
    let back = log.load(stream(1), 0, 10).await.unwrap();
    assert_eq!(back[0].payload, large.payload);
    assert_eq!(back.len(), 2);
}
