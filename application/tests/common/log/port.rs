//! The log as the bus sees it.

use super::{FakeLog, Fault, is_of, take};
use async_trait::async_trait;
use tokio::sync::watch;
use verbatim_application::ports::{
    AppendError, Appended, EventLog, LogError, NewEvent, NewSnapshot, READ_BATCH_MAX, RecordedEvent,
    Snapshot, StreamId, Turn,
};
use verbatim_domain::Timestamp;

fn broken() -> LogError {
    LogError("the disk is gone".into())
}

#[async_trait]
impl EventLog for FakeLog {
    async fn append(
        &self,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        if let Some(before) = self.before.lock().expect("no test panics with the lock held").as_mut() {
            before(self, &events);
        }
        self.append_now(events, snapshots, recorded_at).await
    }

    async fn turn(&self) -> Result<Option<Turn>, LogError> {
        let mut state = self.state();
        if state.turns_fail {
            return Err(broken());
        }
        state.taken += usize::from(state.turns);
        Ok(state.turns.then(|| Turn(Box::new(()))))
    }

    async fn append_in_turn(
        &self,
        _turn: Turn,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.append_now(events, snapshots, recorded_at).await
    }

    async fn load(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let mut state = self.state();
        if state.unreadable {
            return Err(broken());
        }
        *state.loads.entry(stream).or_default() += 1;
        let of = |event: &&RecordedEvent| is_of(event, stream) && event.sequence > after;
        Ok(state.events.iter().filter(of).take(limit.min(READ_BATCH_MAX)).cloned().collect())
    }

    async fn load_snapshot(&self, stream: StreamId) -> Result<Option<Snapshot>, LogError> {
        let state = self.state();
        if state.unreadable { Err(broken()) } else { Ok(state.snapshots.get(&stream).cloned()) }
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let state = self.state();
        if state.unreadable {
            return Err(broken());
        }
        let later = |event: &&RecordedEvent| event.position > after;
        Ok(state.events.iter().filter(later).take(limit.min(READ_BATCH_MAX)).cloned().collect())
    }

    async fn find_by_idempotency_keys(&self, keys: Vec<String>) -> Result<Vec<RecordedEvent>, LogError> {
        let mut state = self.state();
        if state.unreadable {
            return Err(broken());
        }
        state.key_lookups += 1;
        if std::mem::take(&mut state.blind) {
            return Ok(Vec::new());
        }
        let used =
            |event: &&RecordedEvent| event.idempotency_key.as_ref().is_some_and(|key| keys.contains(key));
        Ok(state.events.iter().filter(used).cloned().collect())
    }

    async fn head(&self) -> Result<u64, LogError> {
        let state = self.state();
        if state.unreadable { Err(broken()) } else { Ok(state.events.len() as u64) }
    }

    fn head_hint(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

impl FakeLog {
    async fn append_now(
        &self,
        events: Vec<NewEvent>,
        snapshots: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.gate.enter().await;
        let mut state = self.state();
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Panic) => {
                drop(state);
                panic!("a test asked for this panic");
            }
            Some(Fault::Conflict) => return Err(AppendError::Conflict),
            Some(Fault::Unavailable) => return Err(AppendError::Unavailable("disk full".into())),
            Some(Fault::UnknownLost) => return Err(AppendError::Unknown("connection reset".into())),
            Some(Fault::UnknownWritten) | None => {}
        }
        if state.conflicts_without_end {
            return Err(AppendError::Conflict);
        }
        let appended = take(&mut state, events, snapshots, recorded_at)?;
        self.hint(&state);
        drop(state);
        match fault {
            Some(_) => Err(AppendError::Unknown("connection reset".into())),
            None => Ok(appended),
        }
    }
}
