//! What the tests and the benchmark share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod contract;
pub mod elections;
pub mod log;
pub mod model;
pub mod tables;
pub mod world;

use log::MemoryLog;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::broadcast, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    ports::{Broadcast, BroadcastError, Clock, Interest, Leadership, Listening, PushStream, Stretch},
    push::Push,
};
use verbatim_domain::Timestamp;
use verbatim_projections::{Observer, Options, ReadModels};
use verbatim_servers::{Database, MariaDb, mysql_database};

/// The longest a test waits for anything.
pub const LIMIT: Duration = Duration::from_secs(20);

pub struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        at(0)
    }
}

/// So many seconds after the beginning of the tests' time.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_782_864_000 + seconds, 123_456_000).unwrap()
}

/// Collects what is published; refuses as often as told.
pub struct Collector {
    pub sender: broadcast::Sender<Arc<Vec<Push>>>,
    pub taken: Mutex<Vec<Push>>,
    /// From where to where each one that was taken went.
    pub stretches: Mutex<Vec<(u64, u64)>>,
    pub refusals: Mutex<u32>,
}

impl Collector {
    pub fn new() -> Arc<Self> {
        let sender = broadcast::Sender::new(1_024);
        Arc::new(Self {
            sender,
            taken: Mutex::default(),
            stretches: Mutex::default(),
            refusals: Mutex::default(),
        })
    }

    pub fn positions(&self) -> Vec<u64> {
        self.taken.lock().unwrap().iter().map(|push| push.position).collect()
    }
}

#[async_trait::async_trait]
impl Broadcast for Collector {
    async fn publish(&self, stretch: Stretch) -> Result<(), BroadcastError> {
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err(BroadcastError("told to refuse".into()));
            }
        }
        self.taken.lock().unwrap().extend(stretch.pushes.iter().cloned());
        self.stretches.lock().unwrap().push((stretch.after, stretch.upto));
        let _ = self.sender.send(Arc::new(stretch.pushes));
        Ok(())
    }

    async fn publish_ephemeral(&self, _: Push) -> Result<(), BroadcastError> {
        unreachable!("nothing ephemeral is projected")
    }

    fn subscribe(&self) -> PushStream {
        unreachable!("the tests look at what was taken")
    }

    fn listen(&self, _: Interest) -> Arc<dyn Listening> {
        unreachable!("the tests look at what was taken")
    }
}

/// Where read models are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    MySql,
}

/// A database of one's own.
pub enum Store {
    File(TempDir),
    Server(Database<MariaDb>),
    /// On a server that somebody else looks after.
    Url(String),
}

/// Read models in a database of their own, over a log in memory.
pub struct Bench {
    pub store: Store,
    pub log: Arc<MemoryLog>,
    pub broadcast: Arc<Collector>,
}

impl Bench {
    pub fn new(backend: Backend) -> Self {
        Self::over(backend, MemoryLog::new())
    }

    pub fn over(backend: Backend, log: Arc<MemoryLog>) -> Self {
        let store = match backend {
            Backend::Sqlite => Store::File(tempfile::tempdir().unwrap()),
            Backend::MySql => Store::Server(mysql_database()),
        };
        Self { store, log, broadcast: Collector::new() }
    }

    pub fn backend(&self) -> Backend {
        match self.store {
            Store::File(_) => Backend::Sqlite,
            Store::Server(_) | Store::Url(_) => Backend::MySql,
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> PathBuf {
        match &self.store {
            Store::File(folder) => folder.path().join("read.db"),
            Store::Server(_) | Store::Url(_) => panic!("there is no file"),
        }
    }

    pub fn url(&self) -> String {
        match &self.store {
            Store::File(_) => format!("sqlite:{}", self.path().display()),
            Store::Server(database) => database.url().to_owned(),
            Store::Url(url) => url.clone(),
        }
    }

    pub async fn open(&self) -> ReadModels {
        let (log, broadcast) = (self.log.clone(), self.broadcast.clone());
        ReadModels::open(&self.url(), log, broadcast, Arc::new(FixedClock)).await.unwrap()
    }

    pub async fn open_observed(&self, observer: Arc<dyn Observer>) -> ReadModels {
        let (log, broadcast) = (self.log.clone(), self.broadcast.clone());
        ReadModels::open_observed(&self.url(), log, broadcast, Arc::new(FixedClock), observer).await.unwrap()
    }

    /// Opens as one of a cluster.
    pub async fn join(&self, leadership: Arc<dyn Leadership>) -> ReadModels {
        self.join_by(&self.url(), leadership).await
    }

    /// Opens as one of a cluster, over a line of its own to the database.
    pub async fn join_by(&self, url: &str, leadership: Arc<dyn Leadership>) -> ReadModels {
        let (log, broadcast) = (self.log.clone(), self.broadcast.clone());
        let options = Options { leadership: Some(leadership), ..Options::default() };
        ReadModels::open_with(url, log, broadcast, Arc::new(FixedClock), options).await.unwrap()
    }

    /// Opens and runs.
    pub async fn start(&self) -> Running {
        Running::new(self.open().await)
    }

    /// Waits until the read models contain the whole log.
    pub async fn settle(&self, models: &ReadModels) {
        let head = self.log.len();
        assert!(models.positions().wait_for(head, LIMIT).await, "the projections did not reach {head}");
    }
}

/// Read models whose runner runs.
pub struct Running {
    pub models: ReadModels,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Running {
    pub fn new(models: ReadModels) -> Self {
        let shutdown = CancellationToken::new();
        let (runner, token) = (models.clone(), shutdown.clone());
        let task = tokio::spawn(async move { runner.run(token).await });
        Self { models, shutdown, task: Some(task) }
    }

    /// Stops as the service does.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take() {
            tokio::time::timeout(LIMIT, task).await.expect("the runner did not stop").unwrap();
        }
    }

    /// Stops wherever it is.
    pub async fn kill(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Makes a test of each of these functions on each database.
#[macro_export]
macro_rules! on_each_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::common::Backend::Sqlite).await;
            })*
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::common::Backend::MySql).await;
            })*
        }
    };
}

/// Waits until something holds, looking again and again.
pub async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come to hold");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Remembers the errors it is told about.
#[derive(Default)]
pub struct Errors(pub Mutex<Vec<String>>);

impl Observer for Errors {
    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        self.0.lock().unwrap().push(error.to_string());
    }
}

/// Asserts that the live tables are what the log says.
pub async fn assert_verified(models: &ReadModels) {
    let admin = models.admin();
    let mut differences = Vec::new();
    admin.verify(&admin.names(), &mut |_| {}, &mut |difference| differences.push(difference)).await.unwrap();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Positions of the events that subscribers are told about.
pub fn told(log: &MemoryLog) -> Vec<u64> {
    let silent = ["MemberRegistered", "DisplayNameChanged", "MemberRoleChanged", "RoomRoleChanged"];
    let told =
        |event: &verbatim_application::ports::RecordedEvent| !silent.contains(&event.event_type.as_str());
    log.all().iter().filter(|event| told(event)).map(|event| event.position).collect()
}

/// Writes a busy conversation until told to stop, a few events at a time, letting others run in between.
pub fn talk(
    log: Arc<MemoryLog>,
    mut world: world::World,
    stop: CancellationToken,
) -> JoinHandle<world::World> {
    tokio::spawn(async move {
        let mut n: usize = 0;
        while !stop.is_cancelled() && n < 20_000 {
            n += 1;
            let (room, member, seq) = (n / 3, n, n as u64);
            match n % 17 {
                3 => world.act(&world::Act::Edit { room, member, seq }),
                5 => world.act(&world::Act::Delete { room, member, seq }),
                7 => world.act(&world::Act::Read { room, member, seq }),
                11 => world.act(&world::Act::Leave { room, member }),
                13 => world.act(&world::Act::Join { room, member }),
                _ => world.act(&world::Act::Send { room, member }),
            }
            log.write(world.take());
            if n.is_multiple_of(5) {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        world
    })
}
