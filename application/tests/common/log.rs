//! An event log in memory that keeps the port's promises, and breaks down when it is told to.

mod port;

use super::gate::Gate;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard},
};
use tokio::sync::watch;
use uuid::Uuid;
use verbatim_application::{
    codec::{Event, Metadata},
    ports::{AppendError, Appended, NewEvent, NewSnapshot, RecordedEvent, Snapshot, StreamId},
};
use verbatim_domain::Timestamp;

/// How an append goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is told that another was first.
    Conflict,
    /// The log takes nothing.
    Unavailable,
    /// The connection dies in the commit, which was done.
    UnknownWritten,
    /// The connection dies in the commit, which was not done.
    UnknownLost,
    /// The adapter has a bug.
    Panic,
}

/// Called before each append, with what is to be appended: a rival writer, say.
type Before = Box<dyn FnMut(&FakeLog, &[NewEvent]) + Send>;

#[derive(Default)]
struct State {
    events: Vec<RecordedEvent>,
    snapshots: HashMap<StreamId, Snapshot>,
    faults: VecDeque<Fault>,
    conflicts_without_end: bool,
    unreadable: bool,
    hint_frozen: bool,
    blind: bool,
    /// Events of each append that went in.
    appends: Vec<usize>,
    loads: HashMap<StreamId, usize>,
    key_lookups: usize,
    /// Whether there are turns.
    turns: bool,
    turns_fail: bool,
    /// Turns that were taken.
    taken: usize,
}

/// The log.
pub(crate) struct FakeLog {
    state: Mutex<State>,
    before: Mutex<Option<Before>>,
    head: watch::Sender<u64>,
    /// Holds appends.
    pub(crate) gate: Gate,
}

impl Default for FakeLog {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            before: Mutex::default(),
            head: watch::channel(0).0,
            gate: Gate::default(),
        }
    }
}

impl FakeLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock held")
    }

    /// The next append goes wrong so; several queue up.
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// From now on every append finds another was first.
    pub(crate) fn always_conflict(&self, yes: bool) {
        self.state().conflicts_without_end = yes;
    }

    /// From now on nothing can be read.
    pub(crate) fn unreadable(&self, yes: bool) {
        self.state().unreadable = yes;
    }

    /// From now on the hint of the head lags behind.
    pub(crate) fn freeze_hint(&self, yes: bool) {
        self.state().hint_frozen = yes;
    }

    /// From now on there are turns to be had.
    pub(crate) fn give_turns(&self) {
        self.state().turns = true;
    }

    /// From now on whoever asks for a turn gets none.
    pub(crate) fn fail_turns(&self, yes: bool) {
        self.state().turns_fail = yes;
    }

    /// Turns that were taken.
    pub(crate) fn turns(&self) -> usize {
        self.state().taken
    }

    /// The next look for idempotency keys finds nothing, as if it came before what is in the log.
    pub(crate) fn blind_next_lookup(&self) {
        self.state().blind = true;
    }

    /// Calls this before each append that is not in a turn.
    pub(crate) fn before_append(&self, before: impl FnMut(&Self, &[NewEvent]) + Send + 'static) {
        *self.before.lock().expect("no test panics with the lock held") = Some(Box::new(before));
    }

    /// Everything in the log.
    pub(crate) fn events(&self) -> Vec<RecordedEvent> {
        self.state().events.clone()
    }

    /// One stream, decoded.
    pub(crate) fn stream(&self, stream: StreamId) -> Vec<Event> {
        let state = self.state();
        let of = |event: &&RecordedEvent| is_of(event, stream);
        state.events.iter().filter(of).map(|event| Event::decode(event).expect("it decodes")).collect()
    }

    /// Events of each append that went in, in order.
    pub(crate) fn appends(&self) -> Vec<usize> {
        self.state().appends.clone()
    }

    /// How often a stream was read.
    pub(crate) fn loads(&self, stream: StreamId) -> usize {
        self.state().loads.get(&stream).copied().unwrap_or(0)
    }

    /// How often idempotency keys were looked up.
    pub(crate) fn key_lookups(&self) -> usize {
        self.state().key_lookups
    }

    /// The snapshot of a stream.
    pub(crate) fn snapshot(&self, stream: StreamId) -> Option<Snapshot> {
        self.state().snapshots.get(&stream).cloned()
    }

    /// Puts a snapshot in place, whatever it holds.
    pub(crate) fn put_snapshot(&self, stream: StreamId, snapshot: Snapshot) {
        self.state().snapshots.insert(stream, snapshot);
    }

    /// Spoils the payload of a stored event.
    pub(crate) fn spoil(&self, stream: StreamId, sequence: u64) {
        let mut state = self.state();
        let spoilt = state.events.iter_mut().find(|e| is_of(e, stream) && e.sequence == sequence);
        spoilt.expect("there is such an event").payload = "{}".to_owned();
    }

    /// Takes a stored event away, as a bad restore would.
    pub(crate) fn cut_out(&self, stream: StreamId, sequence: u64) {
        self.state().events.retain(|event| !(is_of(event, stream) && event.sequence == sequence));
    }

    /// Appends as another node would, without a bus: past gate and faults.
    pub(crate) fn write(&self, stream: StreamId, events: &[Event]) {
        let mut state = self.state();
        let next = 1 + state.events.iter().filter(|e| is_of(e, stream)).count() as u64;
        let events = events.iter().zip(next..).map(|(event, sequence)| {
            let encoded = event.encode().expect("it encodes");
            NewEvent {
                stream,
                sequence,
                event_type: encoded.event_type,
                event_version: encoded.event_version,
                payload: encoded.payload,
                metadata: serde_json::to_string(&Metadata::default()).expect("it encodes"),
                idempotency_key: None,
            }
        });
        let (events, at) = (events.collect(), Timestamp::UNIX_EPOCH);
        take(&mut state, events, vec![], at).expect("nothing is in the way");
        self.hint(&state);
    }

    fn hint(&self, state: &State) {
        if !state.hint_frozen {
            self.head.send_replace(state.events.len() as u64);
        }
    }

    /// Checks what the port promises of positions and sequences.
    pub(crate) fn check(&self) {
        let state = self.state();
        let mut last: HashMap<(&str, Uuid), u64> = HashMap::new();
        let mut keys = HashSet::new();
        for (event, position) in state.events.iter().zip(1..) {
            assert_eq!(event.position, position, "positions have no gaps");
            let sequence = last.entry((event.aggregate_type.as_str(), event.aggregate_id)).or_insert(0);
            *sequence += 1;
            assert_eq!(event.sequence, *sequence, "sequences have no gaps");
            if let Some(key) = &event.idempotency_key {
                assert!(keys.insert(key), "no key is used twice");
            }
        }
    }
}

fn is_of(event: &RecordedEvent, stream: StreamId) -> bool {
    event.aggregate_type == stream.aggregate_type && event.aggregate_id == stream.aggregate_id
}

/// Takes events in, all or none.
fn take(
    state: &mut State,
    events: Vec<NewEvent>,
    snapshots: Vec<NewSnapshot>,
    recorded_at: Timestamp,
) -> Result<Appended, AppendError> {
    let mut sequences: HashSet<(&str, Uuid, u64)> = state
        .events
        .iter()
        .map(|event| (event.aggregate_type.as_str(), event.aggregate_id, event.sequence))
        .collect();
    let mut keys: HashSet<&str> =
        state.events.iter().filter_map(|event| event.idempotency_key.as_deref()).collect();
    for event in &events {
        let stream = event.stream;
        if !sequences.insert((stream.aggregate_type, stream.aggregate_id, event.sequence))
            || event.idempotency_key.as_deref().is_some_and(|key| !keys.insert(key))
        {
            return Err(AppendError::Conflict);
        }
    }
    let first_position = state.events.len() as u64 + 1;
    state.appends.push(events.len());
    state.events.extend(events.into_iter().zip(first_position..).map(|(event, position)| RecordedEvent {
        position,
        recorded_at,
        aggregate_type: event.stream.aggregate_type.to_owned(),
        aggregate_id: event.stream.aggregate_id,
        sequence: event.sequence,
        event_type: event.event_type.to_owned(),
        event_version: event.event_version.to_owned(),
        payload: event.payload,
        metadata: event.metadata,
        idempotency_key: event.idempotency_key,
    }));
    for NewSnapshot { stream, sequence, payload } in snapshots {
        state.snapshots.insert(stream, Snapshot { sequence, payload });
    }
    Ok(Appended { first_position })
}
