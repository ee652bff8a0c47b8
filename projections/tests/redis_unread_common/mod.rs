//! What the tests of the unread counts in Redis share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use crate::common::{FixedClock, LIMIT, log::MemoryLog, model::Model, talk, world::World};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    codec::{Envelope, Event},
    ports::{Leadership, Positions, ReadError, UnreadReader, UnreadSnapshot},
    views::UnreadView,
};
use verbatim_domain::{MemberId, RoomId};
use verbatim_projections::{NoObserver, RedisUnread, RedisUnreadAdmin};

/// Stands for the relational read models: counts computed in the simplest way, as of a position that the test sets.
pub struct Relational {
    log: Arc<MemoryLog>,
    applied: watch::Sender<u64>,
    pub answers: AtomicU64,
    pub broken: AtomicBool,
}

impl Relational {
    /// One that stands still at position 0.
    pub fn new(log: &Arc<MemoryLog>) -> Arc<Self> {
        let (applied, broken) = (watch::Sender::new(0), AtomicBool::new(false));
        Arc::new(Self { log: log.clone(), applied, answers: AtomicU64::new(0), broken })
    }

    /// One that answers nothing, so that whatever is answered comes from Redis.
    pub fn broken(log: &Arc<MemoryLog>) -> Arc<Self> {
        let relational = Self::new(log);
        relational.broken.store(true, Ordering::SeqCst);
        relational
    }

    /// One that follows the log.
    pub fn following(log: &Arc<MemoryLog>) -> Arc<Self> {
        let relational = Self::new(log);
        let (weak, mut head) =
            (Arc::downgrade(&relational), verbatim_application::ports::EventLog::head_hint(&**log));
        tokio::spawn(async move {
            while let Some(relational) = weak.upgrade() {
                relational.set(*head.borrow_and_update());
                drop(relational);
                if head.changed().await.is_err() {
                    return;
                }
            }
        });
        relational
    }

    pub fn set(&self, position: u64) {
        self.applied.send_replace(position);
    }

    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl UnreadReader for Relational {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        let all = self.unread(member).await?.rooms;
        Ok(all.into_iter().filter(|view| rooms.contains(&view.room_id)).collect())
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(ReadError::Unavailable("told to fail".into()));
        }
        // Nobody is only asked about to learn the position.
        self.answers.fetch_add(u64::from(!member.as_uuid().is_nil()), Ordering::SeqCst);
        let position = *self.applied.borrow();
        let rooms = model(&self.log, position).unread(member);
        Ok(UnreadSnapshot { position, rooms })
    }
}

#[async_trait::async_trait]
impl Positions for Relational {
    async fn wait_for(&self, position: u64, limit: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= position);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}

/// The simplest model of the log up to a position.
pub fn model(log: &MemoryLog, position: u64) -> Model {
    let events: Vec<Event> = log
        .all()
        .iter()
        .take(position as usize)
        .map(|event| Envelope::decode(event).unwrap().event)
        .collect();
    Model::of(&events)
}

/// The counts in Redis with their runner.
pub struct Running {
    pub unread: RedisUnread,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(url: &str, log: &Arc<MemoryLog>, relational: &Arc<Relational>) -> Self {
        Self::start_led(url, log, relational, None)
    }

    pub fn start_led(
        url: &str,
        log: &Arc<MemoryLog>,
        relational: &Arc<Relational>,
        leadership: Option<Arc<dyn Leadership>>,
    ) -> Self {
        let unread = open(url, log, relational, leadership);
        let shutdown = CancellationToken::new();
        let (runner, token) = (unread.clone(), shutdown.clone());
        let task = tokio::spawn(async move { runner.run(token).await });
        Self { unread, shutdown, task: Some(task) }
    }

    /// Waits until Redis contains the whole log and readers reach it.
    pub async fn settle(&self, log: &MemoryLog) {
        self.reach(log.len()).await;
    }

    pub async fn reach(&self, position: u64) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        let mut applied = self.unread.applied();
        let reached =
            tokio::time::timeout_at(deadline, applied.wait_for(|applied| *applied >= position)).await;
        reached.unwrap_or_else(|_| panic!("Redis did not reach {position}")).unwrap();
        // No signal says so.
        while !self.unread.is_connected() {
            assert!(tokio::time::Instant::now() < deadline, "Redis is not connected to");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn stop(mut self) -> RedisUnread {
        self.shutdown.cancel();
        let task = self.task.take().unwrap();
        tokio::time::timeout(LIMIT, task).await.expect("the runner did not stop").unwrap();
        self.unread.clone()
    }

    /// Stops wherever it is.
    pub async fn kill(mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

pub fn open(
    url: &str,
    log: &Arc<MemoryLog>,
    relational: &Arc<Relational>,
    leadership: Option<Arc<dyn Leadership>>,
) -> RedisUnread {
    let (fallback, positions) = (relational.clone(), relational.clone());
    RedisUnread::open(
        url,
        log.clone(),
        fallback,
        positions,
        Arc::new(FixedClock),
        Arc::new(NoObserver),
        leadership,
    )
    .unwrap()
}

/// The verbs as another process has them.
pub fn other_process(url: &str, log: &Arc<MemoryLog>) -> RedisUnreadAdmin {
    RedisUnreadAdmin::open(url, log.clone(), Arc::new(FixedClock)).unwrap()
}

/// Asserts that Redis holds just what the log says.
pub async fn assert_verified(admin: &RedisUnreadAdmin) -> verbatim_projections::Verified {
    let mut differences = Vec::new();
    let verified = admin.verify(&mut |_| {}, &mut |difference| differences.push(difference)).await.unwrap();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(verified.differences, 0);
    verified
}

/// Asserts that the reader shows what the model says, of every member.
pub async fn assert_shows(reader: &dyn UnreadReader, log: &MemoryLog, members: &[MemberId]) {
    let model = model(log, log.len());
    for member in members {
        let mut snapshot = reader.unread(*member).await.unwrap();
        snapshot.rooms.sort_by_key(|view| view.room_id);
        assert_eq!(snapshot.position, log.len());
        assert_eq!(snapshot.rooms, model.unread(*member), "of {member}");
        let rooms: Vec<RoomId> = model.inside.keys().copied().collect();
        let mut some = reader.unread_in(*member, &rooms).await.unwrap();
        some.sort_by_key(|view| view.room_id);
        assert_eq!(some, snapshot.rooms);
    }
}

/// People who talk, and one who reads all the time and checks that nothing ever goes back.
pub struct Busy {
    pub log: Arc<MemoryLog>,
    pub relational: Arc<Relational>,
    pub members: Vec<MemberId>,
    stop: CancellationToken,
    talking: JoinHandle<World>,
    reading: Vec<JoinHandle<Vec<(MemberId, UnreadSnapshot)>>>,
}

impl Busy {
    pub fn start() -> Self {
        let log = MemoryLog::new();
        let world = World::populated(6, 3);
        let members = world.members.keys().copied().collect();
        let (relational, stop) = (Relational::following(&log), CancellationToken::new());
        let talking = talk(log.clone(), world, stop.clone());
        Self { log, relational, members, stop, talking, reading: Vec::new() }
    }

    /// Reads from this node from now on, and makes it promise what was pushed.
    pub fn read_from(&mut self, unread: &RedisUnread) {
        let (unread, members, stop) = (unread.clone(), self.members.clone(), self.stop.clone());
        let relational = self.relational.clone();
        self.reading.push(tokio::spawn(async move {
            let (mut seen, mut last) = (Vec::new(), 0);
            let reader = unread.reader();
            for turn in (0..).take_while(|_| !stop.is_cancelled()) {
                let member = members[turn % members.len()];
                let promised = if turn % 5 == 0 { *relational.applied.borrow() } else { 0 };
                unread.promise(promised);
                let began = std::time::Instant::now();
                let snapshot = reader.unread(member).await.unwrap();
                assert!(
                    began.elapsed() < Duration::from_secs(2),
                    "a read waits for nothing: {:?}",
                    began.elapsed()
                );
                assert!(snapshot.position >= last, "{} after {last}", snapshot.position);
                assert!(
                    snapshot.position >= promised,
                    "{} though {promised} was promised",
                    snapshot.position
                );
                last = snapshot.position;
                seen.push((member, snapshot));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            seen
        }));
    }

    /// Waits until so many more events are in the log.
    pub async fn more(&self, events: u64) {
        let mut head = verbatim_application::ports::EventLog::head_hint(&*self.log);
        let wanted = *head.borrow() + events;
        let reached = tokio::time::timeout(LIMIT, head.wait_for(|head| *head >= wanted)).await;
        reached.expect("nobody talks any more").unwrap();
    }

    /// Everybody stops talking; all that was said must be counted, and all that was read have been right.
    pub async fn end(self, running: &Running) {
        self.stop.cancel();
        self.talking.await.unwrap();
        running.settle(&self.log).await;
        assert_verified(&running.unread.admin()).await;
        assert_shows(&*running.unread.reader(), &self.log, &self.members).await;
        let mut seen = Vec::new();
        for reading in self.reading {
            let read = reading.await.unwrap();
            assert!(!read.is_empty());
            seen.extend(read);
        }
        seen.sort_by_key(|(_, snapshot)| snapshot.position);
        let events: Vec<Event> =
            self.log.all().iter().map(|event| Envelope::decode(event).unwrap().event).collect();
        let (mut model, mut at) = (Model::default(), 0);
        for (member, mut snapshot) in seen {
            for event in &events[at..snapshot.position as usize] {
                model.apply(event);
            }
            at = snapshot.position as usize;
            snapshot.rooms.sort_by_key(|view| view.room_id);
            assert_eq!(snapshot.rooms, model.unread(member), "as of {at}");
        }
    }
}
