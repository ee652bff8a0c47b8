//! What the unread counts in Redis survive, while people talk and read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod redis_unread_common;

use common::{LIMIT, eventually, log::MemoryLog, world::Act, world::World};
use redis_unread_common::{Busy, Relational, Running, assert_shows, assert_verified, open, other_process};
use std::{
    any::Any,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use verbatim_application::ports::{Leadership, LeadershipError, Lease};
use verbatim_domain::MemberId;
use verbatim_servers::{Proxy, Redis, RedisCluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_apply_each_event_once() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let one = Running::start(&redis.url(), &busy.log, &busy.relational);
    let other = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&one.unread);
    busy.read_from(&other.unread);
    one.reach(1_500).await;
    other.reach(1_500).await;
    let status = one.unread.admin().status().await.unwrap();
    assert_eq!((status.active_version, status.previous_version), (1, None), "they fill one version together");
    busy.end(&one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_killed_anywhere_goes_on_as_if_nothing_had_been() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let reading = open(&redis.url(), &busy.log, &busy.relational, None);
    busy.read_from(&reading);
    for round in 1..=25 {
        let running = Running::start(&redis.url(), &busy.log, &busy.relational);
        let applied = *running.unread.applied().borrow();
        running.reach(applied + round * 3).await;
        running.kill().await;
    }
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.end(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_keeps_nothing_is_killed() {
    let mut redis = Redis::start();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    for _ in 0..3 {
        running.settle(&busy.log).await;
        redis.kill_9();
        busy.more(200).await;
        eventually("that it is noticed", async || !running.unread.is_connected()).await;
        redis.start_again();
        let began = Instant::now();
        running.settle(&busy.log).await;
        println!("filled and read again {:?} after the server was back", began.elapsed());
        busy.more(100).await;
    }
    busy.end(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_keeps_everything_is_killed() {
    let mut redis = Redis::persistent();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    for _ in 0..3 {
        running.settle(&busy.log).await;
        busy.more(100).await;
        redis.kill_9();
        busy.more(200).await;
        redis.start_again();
        running.settle(&busy.log).await;
    }
    let status = running.unread.admin().status().await.unwrap();
    assert_eq!(status.active_version, 1, "it went on where it was");
    busy.end(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_flushed_again_and_again() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    running.reach(200).await;
    for _ in 0..10 {
        assert_eq!(redis.cli(&["FLUSHALL"]).trim(), "OK");
        busy.more(50).await;
        running.settle(&busy.log).await;
    }
    busy.end(&running).await;
}

/// Nobody talks, so nothing is written: a look says that all is gone.
#[tokio::test]
async fn a_flush_is_noticed_in_silence() {
    let redis = Redis::start();
    let log = MemoryLog::new();
    log.write(World::populated(3, 2).take());
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    assert_eq!(redis.cli(&["FLUSHALL"]).trim(), "OK");
    let admin = running.unread.admin();
    eventually("the counts", async || {
        let status = admin.status().await.unwrap();
        !status.closed && status.lag == 0
    })
    .await;
    assert_verified(&admin).await;
}

/// As a failover to a replica that lagged: an older state, whole in itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_state_comes_back() {
    let mut redis = Redis::start();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    running.reach(300).await;
    for _ in 0..3 {
        // What a restart will read.
        assert_eq!(redis.cli(&["SAVE"]).trim(), "OK");
        let saved = busy.log.len();
        busy.more(300).await;
        running.settle(&busy.log).await;
        let applied = *running.unread.applied().borrow();
        redis.kill_9();
        redis.start_again();
        let back: u64 = position(&redis);
        assert!(back <= saved && back < applied || back > applied, "{back} of {applied}");
        running.settle(&busy.log).await;
    }
    let status = running.unread.admin().status().await.unwrap();
    assert_eq!(status.active_version, 1, "it went on from there");
    busy.end(&running).await;
}

fn active(redis: &Redis) -> String {
    redis.cli(&["HGET", "{verbatim:unread}:versions", "active"]).trim().to_owned()
}

fn position(redis: &Redis) -> u64 {
    let meta = format!("{{verbatim:unread}}:v{}:meta", active(redis));
    redis.cli(&["HGET", &meta, "position"]).trim().parse().unwrap()
}

/// A cable is pulled: connections stay open, and nobody answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_is_cut_and_healed() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let url = format!("redis://127.0.0.1:{}/", proxy.port());
    let mut busy = Busy::start();
    let running = Running::start(&url, &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    for _ in 0..2 {
        running.settle(&busy.log).await;
        proxy.cut();
        let cut = Instant::now();
        eventually("that it is noticed", async || !running.unread.is_connected()).await;
        println!("noticed {:?} after the cut", cut.elapsed());
        let before = running.unread.statistics();
        busy.more(300).await;
        let after = running.unread.statistics();
        assert_eq!(after.from_redis, before.from_redis);
        assert!(after.from_fallback > before.from_fallback);
        proxy.heal();
        let healed = Instant::now();
        running.settle(&busy.log).await;
        println!("read from Redis again {:?} after the line was healed", healed.elapsed());
        proxy.sever();
        busy.more(50).await;
    }
    busy.end(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_freezes_and_thaws() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    running.reach(200).await;
    redis.freeze();
    eventually("that it is noticed", async || !running.unread.is_connected()).await;
    busy.more(300).await;
    redis.thaw();
    let thawed = Instant::now();
    running.settle(&busy.log).await;
    println!("read from Redis again {:?} after it thawed", thawed.elapsed());
    busy.end(&running).await;
}

/// While Redis hangs, one read waits for its limit, and those after it for nothing.
#[tokio::test]
async fn one_read_waits_and_the_others_do_not() {
    let redis = Redis::start();
    let log = MemoryLog::new();
    let mut world = World::populated(3, 2);
    log.write(world.take());
    let relational = Relational::following(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    running.stop().await;
    let unread = open(&redis.url(), &log, &relational, None);
    eventually("the connection", async || unread.is_connected()).await;
    redis.freeze();
    let mut slow = 0;
    for _ in 0..100 {
        let began = Instant::now();
        unread.reader().unread(world.member(0)).await.unwrap();
        slow += u32::from(began.elapsed() > Duration::from_millis(200));
    }
    redis.thaw();
    assert_eq!(slow, 1);
    assert_eq!(relational.answers(), 100);
}

/// A log with other events at the same positions.
fn another_log(world: &mut World, events: u64) -> Arc<MemoryLog> {
    let log = MemoryLog::new();
    while log.len() < events {
        world.act(&Act::Send { room: 0, member: log.len() as usize });
        log.write(world.take());
    }
    log
}

#[tokio::test]
async fn counts_of_another_log_are_never_shown_and_filled_anew() {
    let redis = Redis::start();
    let theirs = another_log(&mut World::populated(4, 1), 100);
    let filling = Running::start(&redis.url(), &theirs, &Relational::broken(&theirs));
    filling.settle(&theirs).await;
    filling.stop().await;

    // A log that ends before, and one that goes on after the place where the counts of the one before stand.
    for (events, people) in [(40, 3), (200, 5)] {
        let mut world = World::populated(people, 3);
        let ours = another_log(&mut world, events);
        let members: Vec<MemberId> = world.members.keys().copied().collect();
        let relational = Relational::following(&ours);
        assert!(verbatim_application::ports::Positions::wait_for(&*relational, events, LIMIT).await);
        // A node that only reads does not connect to it.
        let reading = open(&redis.url(), &ours, &relational, None);
        assert_shows(&*reading.reader(), &ours, &members).await;
        assert_eq!(reading.statistics().from_redis, 0);
        drop(reading);
        let refused = other_process(&redis.url(), &ours).verify(&mut |_| {}, &mut |d| panic!("{d}")).await;
        assert!(refused.is_err(), "{refused:?}");

        let running = Running::start(&redis.url(), &ours, &relational);
        assert_shows(&*running.unread.reader(), &ours, &members).await;
        eventually("our counts", async || {
            let status = running.unread.admin().status().await.unwrap();
            !status.closed && status.position == events
        })
        .await;
        running.settle(&ours).await;
        assert_shows(&*running.unread.reader(), &ours, &members).await;
        let status = running.unread.admin().status().await.unwrap();
        assert_eq!(status.previous_version, None, "what is of another log is not kept");
        assert_verified(&running.unread.admin()).await;
        assert_eq!(
            keys(&redis).len() as u64,
            3 + members.len() as u64,
            "its keys are gone: {:?}",
            keys(&redis)
        );
        running.stop().await;
    }
}

/// Names of all keys, with what is not text made visible.
fn keys(redis: &Redis) -> Vec<String> {
    redis.cli(&["--no-raw", "KEYS", "*"]).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn counts_of_another_release_are_filled_anew() {
    let redis = Redis::start();
    let log = another_log(&mut World::populated(3, 2), 50);
    let relational = Relational::following(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    running.stop().await;
    let meta = format!("{{verbatim:unread}}:v{}:meta", active(&redis));
    assert_eq!(redis.cli(&["HSET", &meta, "schema", "0"]).trim(), "0");
    let admin = other_process(&redis.url(), &log);
    assert!(admin.status().await.unwrap().closed);

    let running = Running::start(&redis.url(), &log, &relational);
    eventually("our counts", async || !admin.status().await.unwrap().closed).await;
    let status = admin.status().await.unwrap();
    assert_eq!((status.active_version, status.previous_version), (2, Some(1)));
    assert_eq!((status.schema_version, status.position), (1, 50));
    assert_verified(&admin).await;
    let refused = admin.rollback(&mut |_| {}).await;
    assert!(matches!(refused, Err(verbatim_projections::ProjectionError::OtherSchema(_))), "{refused:?}");
    running.stop().await;
}

/// One holder at a time.
#[derive(Default)]
struct OneAtATime {
    holder: Arc<Mutex<Option<watch::Sender<bool>>>>,
    asked: std::sync::atomic::AtomicU64,
}

struct GivesBack(Arc<Mutex<Option<watch::Sender<bool>>>>, watch::Receiver<bool>);

impl Drop for GivesBack {
    fn drop(&mut self) {
        let mut holder = self.0.lock().unwrap();
        if holder.as_ref().is_some_and(|sender| sender.subscribe().same_channel(&self.1)) {
            *holder = None;
        }
    }
}

impl OneAtATime {
    /// The leader loses it.
    fn depose(&self) {
        if let Some(sender) = self.holder.lock().unwrap().take() {
            sender.send_replace(true);
        }
    }
}

#[async_trait::async_trait]
impl Leadership for OneAtATime {
    async fn try_lead(&self, task: &str) -> Result<Option<Lease>, LeadershipError> {
        assert_eq!(task, "unread_redis");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut holder = self.holder.lock().unwrap();
        if holder.is_some() {
            return Ok(None);
        }
        let (sender, lost) = watch::channel(false);
        *holder = Some(sender);
        let held: Box<dyn Any + Send + Sync> = Box::new(GivesBack(self.holder.clone(), lost.clone()));
        Ok(Some(Lease::new(lost, held)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let leadership = Arc::new(OneAtATime::default());
    let led = || Some(leadership.clone() as Arc<dyn Leadership>);
    let one = Running::start_led(&redis.url(), &busy.log, &busy.relational, led());
    one.reach(100).await;
    let other = Running::start_led(&redis.url(), &busy.log, &busy.relational, led());
    busy.read_from(&one.unread);
    busy.read_from(&other.unread);
    one.reach(busy.log.len() + 100).await;
    one.kill().await;
    let killed = Instant::now();
    other.reach(busy.log.len()).await;
    println!("the standby took over after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(5));
    // One that has lost it tries again like any other.
    for _ in 0..3 {
        leadership.depose();
        other.reach(busy.log.len() + 50).await;
    }
    busy.end(&other).await;
}

/// The leader can't reach Redis, another node can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_from_redis_lets_another_lead() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let busy = Busy::start();
    let leadership = Arc::new(OneAtATime::default());
    let led = || Some(leadership.clone() as Arc<dyn Leadership>);
    let url = format!("redis://127.0.0.1:{}/", proxy.port());
    let one = Running::start_led(&url, &busy.log, &busy.relational, led());
    one.reach(100).await;
    let other = Running::start_led(&redis.url(), &busy.log, &busy.relational, led());
    other.reach(100).await;
    proxy.cut();
    let cut = Instant::now();
    let wanted = busy.log.len() + 1;
    let mut applied = other.unread.applied();
    tokio::time::timeout(LIMIT, applied.wait_for(|applied| *applied >= wanted)).await.unwrap().unwrap();
    println!("another led {:?} after the cut", cut.elapsed());
    assert!(cut.elapsed() < Duration::from_secs(5));
    proxy.heal();
    busy.end(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_the_cluster_is_killed() {
    let mut cluster = RedisCluster::start();
    let url = cluster.url();
    let mut busy = Busy::start();
    let running = Running::start(&url, &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    running.reach(200).await;
    // Each in turn: one of them holds the counts, one is in the URL.
    for server in 0..3 {
        cluster.nodes()[server].kill_9();
        busy.more(200).await;
        cluster.nodes()[server].start_again();
        let back = Instant::now();
        running.settle(&busy.log).await;
        println!("server {server}: up to date {:?} after it was back", back.elapsed());
    }
    busy.end(&running).await;
}
