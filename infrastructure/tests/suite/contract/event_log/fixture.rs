//! What the cases are made of.

use chrono::{DateTime, TimeDelta};
use futures_util::future::BoxFuture;
use std::{any::Any, sync::Arc};
use uuid::Uuid;
use verbatim_application::ports::{AppendError, EventLog, NewEvent, NewSnapshot, RecordedEvent, StreamId};
use verbatim_domain::Timestamp;

/// An empty log of one adapter.
pub struct Fixture {
    /// Opens a handle on it; each as if from a process of its own.
    pub open: Box<dyn Fn() -> BoxFuture<'static, Arc<dyn EventLog>> + Send + Sync>,
    /// What must live as long as the log: a folder, a schema.
    pub _keep: Box<dyn Any + Send + Sync>,
}

/// A moment, `n` microseconds after another one.
pub fn at(n: i64) -> Timestamp {
    DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap() + TimeDelta::microseconds(n)
}

/// A stream.
pub fn stream(n: u128) -> StreamId {
    StreamId { aggregate_type: "room", aggregate_id: Uuid::from_u128(n) }
}

/// An event; its payload says where it belongs.
pub fn event(stream: StreamId, sequence: u64) -> NewEvent {
    NewEvent {
        stream,
        sequence,
        event_type: "MessageSent",
        event_version: "1",
        payload: format!(r#"{{"stream":"{stream}","sequence":{sequence}}}"#),
        metadata: "{}".to_owned(),
        idempotency_key: None,
    }
}

/// An event with an idempotency key.
pub fn keyed(stream: StreamId, sequence: u64, key: &str) -> NewEvent {
    NewEvent { idempotency_key: Some(key.to_owned()), ..event(stream, sequence) }
}

/// Some consecutive events of one stream.
pub fn events(stream: StreamId, sequences: std::ops::RangeInclusive<u64>) -> Vec<NewEvent> {
    sequences.map(|sequence| event(stream, sequence)).collect()
}

/// A snapshot of this state.
pub fn snapshot(stream: StreamId, sequence: u64, state: &str) -> NewSnapshot {
    NewSnapshot { stream, sequence, payload: snapshot_payload(state) }
}

/// What is stored of this state: JSON, as the port says; its spaces are to be kept too.
pub fn snapshot_payload(state: &str) -> String {
    format!(r#"{{ "state":"{state}" }}"#)
}

/// Appends, and it must work; gives the first position.
pub async fn append(log: &dyn EventLog, events: Vec<NewEvent>) -> u64 {
    log.append(events, vec![], at(0)).await.expect("append").first_position
}

/// Appends, and it must be a conflict.
pub async fn conflict(log: &dyn EventLog, events: Vec<NewEvent>) {
    let outcome = log.append(events, vec![], at(0)).await;
    assert!(matches!(outcome, Err(AppendError::Conflict)), "{outcome:?}");
}

/// The whole log, read in small batches.
pub async fn all(log: &dyn EventLog) -> Vec<RecordedEvent> {
    let mut all: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |e| e.position);
        let batch = log.read(after, 97).await.expect("read");
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

/// Positions are 1, 2, 3 …, and so are the sequences of each stream.
pub fn assert_gapless(events: &[RecordedEvent]) {
    let mut next = std::collections::HashMap::new();
    for (position, event) in (1..).zip(events) {
        assert_eq!(event.position, position, "positions have no gap");
        let sequence = next.entry((event.aggregate_type.clone(), event.aggregate_id)).or_insert(1);
        assert_eq!(event.sequence, *sequence, "sequences have no gap");
        *sequence += 1;
    }
}
