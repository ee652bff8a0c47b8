//! An event log in memory.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::watch;
use uuid::Uuid;
use verbatim_application::{
    codec::Event,
    ports::{
        AppendError, Appended, EventLog, LogError, NewEvent, NewSnapshot, READ_BATCH_MAX, RecordedEvent,
        Snapshot, StreamId,
    },
};
use verbatim_domain::{
    CursorId, EmailId, Timestamp, email::EmailEvent, member::MemberEvent, read_cursor::ReadCursorEvent,
};

/// A Vec behind a lock, with a hint.
pub struct MemoryLog {
    events: Mutex<Vec<RecordedEvent>>,
    head: watch::Sender<u64>,
    /// While set, reading fails.
    pub broken: AtomicBool,
}

impl MemoryLog {
    pub fn new() -> Arc<Self> {
        Self::with(Vec::new())
    }

    /// A log of these.
    pub fn with(events: Vec<RecordedEvent>) -> Arc<Self> {
        let head = watch::Sender::new(events.len() as u64);
        Arc::new(Self { events: Mutex::new(events), head, broken: AtomicBool::new(false) })
    }

    pub fn len(&self) -> u64 {
        self.events.lock().unwrap().len() as u64
    }

    pub fn all(&self) -> Vec<RecordedEvent> {
        self.events.lock().unwrap().clone()
    }

    /// Writes events at the end.
    pub fn write(&self, events: impl IntoIterator<Item = Event>) {
        let mut log = self.events.lock().unwrap();
        for event in events {
            let position = log.len() as u64 + 1;
            log.push(record(event, position));
        }
        self.head.send_replace(log.len() as u64);
    }

    /// Changes what stands there.
    pub fn edit(&self, change: impl FnOnce(&mut Vec<RecordedEvent>)) {
        let mut log = self.events.lock().unwrap();
        change(&mut log);
        self.head.send_replace(log.len() as u64);
    }

    fn check(&self) -> Result<(), LogError> {
        if self.broken.load(Ordering::SeqCst) { Err(LogError("told to fail".into())) } else { Ok(()) }
    }
}

/// An event as it stands in the log. Its sequence is its position, which grows in each stream as it should.
pub fn record(event: Event, position: u64) -> RecordedEvent {
    let encoded = event.encode().unwrap();
    let (aggregate_type, aggregate_id) = stream(&event);
    RecordedEvent {
        position,
        recorded_at: super::at(position as i64),
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id,
        sequence: position,
        event_type: encoded.event_type.to_owned(),
        event_version: encoded.event_version.to_owned(),
        payload: encoded.payload,
        metadata: "{}".to_owned(),
        idempotency_key: None,
    }
}

fn stream(event: &Event) -> (&'static str, Uuid) {
    match event {
        Event::Room(event) => ("room", event.room_id().as_uuid()),
        Event::Member(
            MemberEvent::MemberRegistered { member_id, .. }
            | MemberEvent::DisplayNameChanged { member_id, .. }
            | MemberEvent::PasswordChanged { member_id, .. }
            | MemberEvent::MemberRoleChanged { member_id, .. },
        ) => ("member", member_id.as_uuid()),
        Event::Email(EmailEvent::EmailClaimed { email, .. }) => {
            ("email", EmailId::of(&email.key()).as_uuid())
        }
        Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced { room_id, member_id, .. }) => {
            ("read_cursor", CursorId::of(*room_id, *member_id).as_uuid())
        }
    }
}

#[async_trait::async_trait]
impl EventLog for MemoryLog {
    async fn append(
        &self,
        _: Vec<NewEvent>,
        _: Vec<NewSnapshot>,
        _: Timestamp,
    ) -> Result<Appended, AppendError> {
        Err(AppendError::Unavailable("only for reading".into()))
    }

    async fn load(&self, _: StreamId, _: u64, _: usize) -> Result<Vec<RecordedEvent>, LogError> {
        Err(LogError("only by position".into()))
    }

    async fn load_snapshot(&self, _: StreamId) -> Result<Option<Snapshot>, LogError> {
        Ok(None)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        self.check()?;
        let log = self.events.lock().unwrap();
        let from = (after as usize).min(log.len());
        let to = (from + limit.min(READ_BATCH_MAX)).min(log.len());
        Ok(log[from..to].to_vec())
    }

    async fn find_by_idempotency_keys(&self, _: Vec<String>) -> Result<Vec<RecordedEvent>, LogError> {
        Ok(Vec::new())
    }

    async fn head(&self) -> Result<u64, LogError> {
        self.check()?;
        Ok(self.len())
    }

    fn head_hint(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}
