//! The operators' verbs for the unread counts in Redis, while the service runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod redis_unread_common;

use common::{LIMIT, eventually, log::MemoryLog, world::Act, world::World};
use redis::{ToRedisArgs, aio::MultiplexedConnection};
use redis_unread_common::{Busy, Relational, Running, assert_shows, assert_verified, other_process};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};
use tokio::task::JoinHandle;
use verbatim_domain::{MemberId, RoomId};
use verbatim_projections::{Difference, ProjectionError, RedisUnreadAdmin, Stage};
use verbatim_servers::{Proxy, Redis, RedisCluster};

/// Looks into Redis, and spoils it.
struct Vandal {
    connection: MultiplexedConnection,
    base: String,
}

impl Vandal {
    async fn new(redis: &Redis) -> Self {
        let client = redis::Client::open(redis.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let tag = redis.cli(&["HGET", "{verbatim:unread}:versions", "active"]);
        Self { connection, base: format!("{{verbatim:unread}}:v{}", tag.trim()) }
    }

    fn cursors(&self, member: MemberId) -> Vec<u8> {
        [format!("{}:m:", self.base).as_bytes(), member.as_uuid().as_bytes()].concat()
    }

    fn deleted(&self, room: RoomId) -> Vec<u8> {
        [format!("{}:d:", self.base).as_bytes(), room.as_uuid().as_bytes()].concat()
    }

    fn heads(&self) -> Vec<u8> {
        format!("{}:heads", self.base).into_bytes()
    }

    async fn run(&mut self, name: &str, key: Vec<u8>, arguments: impl ToRedisArgs) {
        let mut command = redis::cmd(name);
        command.arg(key).arg(arguments).exec_async(&mut self.connection).await.unwrap();
    }
}

/// The versions that have keys.
fn tags(redis: &Redis) -> BTreeSet<String> {
    let keys = redis.cli(&["--no-raw", "KEYS", "{verbatim:unread}:v*"]);
    let tag = |line: &str| line.split("{verbatim:unread}:v").nth(1)?.split(':').next().map(str::to_owned);
    keys.lines().filter(|line| !line.contains(":versions")).filter_map(tag).collect()
}

async fn versions(admin: &RedisUnreadAdmin) -> (i32, Option<i32>) {
    let status = admin.status().await.unwrap();
    (status.active_version, status.previous_version)
}

/// A log with all kinds of things, and Redis filled from it.
async fn filled() -> (Redis, Arc<MemoryLog>, World, Running) {
    let redis = Redis::start();
    let mut world = World::populated(5, 3);
    for n in 0..200 {
        world.act(&Act::Send { room: n, member: n });
    }
    for seq in 0..10 {
        world.act(&Act::Delete { room: 0, member: 0, seq: seq * 5 });
        world.act(&Act::Delete { room: 1, member: seq as usize, seq });
    }
    world.act(&Act::Leave { room: 2, member: 3 });
    let log = MemoryLog::new();
    log.write(world.take());
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    (redis, log, world, running)
}

#[tokio::test]
async fn status_tells_where_it_is_and_why_it_is_not() {
    let (mut redis, log, _, running) = filled().await;
    let admin = running.unread.admin();
    let status = admin.status().await.unwrap();
    assert_eq!((status.name, status.active_version, status.schema_version), ("unread_redis", 1, 1));
    assert_eq!((status.position, status.head, status.lag), (log.len(), log.len(), 0));
    assert_eq!((status.previous_version, status.last_error, status.closed), (None, None, false));
    assert_eq!(status.updated_at.as_deref(), Some("2026-07-01T00:00:00.123456Z"));

    redis.kill_9();
    let away = admin.status().await.unwrap();
    assert_eq!((away.position, away.closed), (log.len(), true), "as it was last seen");
    assert!(away.last_error.is_some_and(|error| error.contains("refused")));
    let never_seen = other_process(&redis.url(), &log).status().await.unwrap();
    assert_eq!((never_seen.position, never_seen.lag, never_seen.closed), (0, log.len(), true));
    let failed = admin.rebuild(&mut |_| {}).await;
    assert!(matches!(failed, Err(ProjectionError::Redis(_))), "{failed:?}");
    let failed = admin.verify(&mut |_| {}, &mut |_| {}).await;
    assert!(matches!(failed, Err(ProjectionError::Redis(_))), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_by_another_process_while_people_talk() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    running.reach(500).await;
    let admin = other_process(&redis.url(), &busy.log);
    for round in 1..=3 {
        let mut seen = Vec::new();
        admin.rebuild(&mut |progress| seen.push(progress)).await.unwrap();
        assert!(seen.iter().all(|p| p.stage == Stage::Fill && p.done <= p.total));
        assert!(seen.is_sorted_by_key(|p| p.done) && seen.len() >= 2);
        assert_eq!(versions(&admin).await, (round + 1, Some(round)));
        assert_eq!(tags(&redis).len(), 2, "only one version back is kept");
        running.reach(busy.log.len() + 50).await;
    }
    assert_verified(&admin).await;
    assert!(running.unread.statistics().from_redis > 0);
    busy.end(&running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_catches_up_first_and_can_be_undone() {
    let redis = Redis::start();
    let mut busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    busy.read_from(&running.unread);
    running.reach(300).await;
    let admin = running.unread.admin();
    let none = admin.rollback(&mut |_| {}).await;
    assert!(matches!(none, Err(ProjectionError::NoPrevious(_))), "{none:?}");
    admin.rebuild(&mut |_| {}).await.unwrap();
    for expected in [(1, Some(2)), (2, Some(1))] {
        running.reach(busy.log.len() + 100).await;
        admin.rollback(&mut |_| {}).await.unwrap();
        assert_eq!(versions(&admin).await, expected);
    }
    running.reach(busy.log.len() + 50).await;
    busy.end(&running).await;

    admin.drop_old().await.unwrap();
    assert_eq!(versions(&admin).await, (2, None));
    assert_eq!(tags(&redis).len(), 1);
    for result in [admin.drop_old().await, admin.rollback(&mut |_| {}).await] {
        assert!(matches!(result, Err(ProjectionError::NoPrevious(_))), "{result:?}");
    }
}

/// Waits until a rebuild has begun: the number of versions there ever were.
async fn begun(redis: &Redis, count: &str) {
    eventually("the beginning of a rebuild", async || {
        redis.cli(&["HGET", "{verbatim:unread}:versions", "count"]).trim() == count
    })
    .await;
}

/// A rebuild by another process, begun and not ended for its log can't be read; and that log.
async fn hanging_rebuild(
    redis: &Redis,
    log: &Arc<MemoryLog>,
) -> (Arc<MemoryLog>, JoinHandle<Result<(), ProjectionError>>) {
    let hanging = MemoryLog::with(log.all());
    hanging.broken.store(true, Ordering::SeqCst);
    let admin = other_process(&redis.url(), &hanging);
    let task = tokio::spawn(async move { admin.rebuild(&mut |_| {}).await });
    begun(redis, "2").await;
    (hanging, task)
}

#[tokio::test]
async fn of_two_rebuilds_the_later_one_wins() {
    let (redis, log, world, running) = filled().await;
    let (hanging, first) = hanging_rebuild(&redis, &log).await;
    let second = other_process(&redis.url(), &log);
    second.rebuild(&mut |_| {}).await.unwrap();
    hanging.broken.store(false, Ordering::SeqCst);
    let lost = first.await.unwrap();
    assert!(matches!(lost, Err(ProjectionError::Superseded)), "{lost:?}");
    assert_eq!(versions(&second).await, (3, Some(1)));
    eventually("the end of the other's keys", async || tags(&redis).len() == 2).await;
    running.settle(&log).await;
    let members: Vec<MemberId> = world.members.keys().copied().collect();
    assert_shows(&*running.unread.reader(), &log, &members).await;
}

#[tokio::test]
async fn a_rebuild_that_dies_leaves_the_live_version_and_is_cleared_away() {
    let (redis, log, _, running) = filled().await;
    let (_hanging, task) = hanging_rebuild(&redis, &log).await;
    task.abort();
    let _ = task.await;
    let admin = running.unread.admin();
    assert_eq!(versions(&admin).await, (1, None));
    admin.rebuild(&mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await, (3, Some(1)));
    assert_eq!(tags(&redis).len(), 2);
}

#[tokio::test]
async fn a_rebuild_that_fails_gives_up_what_it_has_filled() {
    let (redis, log, _, running) = filled().await;
    let broken = MemoryLog::with(log.all());
    broken.edit(|events| events[150].event_version = "99".to_owned());
    let failed = other_process(&redis.url(), &broken).rebuild(&mut |_| {}).await;
    assert!(matches!(failed, Err(ProjectionError::Log(_))), "{failed:?}");
    assert_eq!(versions(&running.unread.admin()).await, (1, None));
    assert_eq!(tags(&redis).len(), 1);
    assert_verified(&running.unread.admin()).await;
}

#[tokio::test]
async fn one_operation_at_a_time_in_a_process() {
    let (redis, log, _, _running) = filled().await;
    let hanging = MemoryLog::with(log.all());
    hanging.broken.store(true, Ordering::SeqCst);
    let admin = other_process(&redis.url(), &hanging);
    let other = admin.clone();
    let task = tokio::spawn(async move { other.rebuild(&mut |_| {}).await });
    begun(&redis, "2").await;
    assert!(admin.is_busy());
    for refused in
        [admin.rebuild(&mut |_| {}).await, admin.rollback(&mut |_| {}).await, admin.drop_old().await]
    {
        assert!(matches!(refused, Err(ProjectionError::Busy)), "{refused:?}");
    }
    hanging.broken.store(false, Ordering::SeqCst);
    task.await.unwrap().unwrap();
    assert!(!admin.is_busy());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_survives_a_broken_line_and_a_wiped_redis() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let log = MemoryLog::new();
    let mut world = World::populated(5, 3);
    for n in 0..20_000 {
        world.act(&Act::Send { room: n, member: n });
    }
    log.write(world.take());
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    let admin = other_process(&format!("redis://127.0.0.1:{}/", proxy.port()), &log);
    let mut severed = 0;
    admin
        .rebuild(&mut |progress| {
            if progress.done > severed && severed < 12_000 {
                proxy.sever();
                severed += 4_000;
            }
        })
        .await
        .unwrap();
    assert!(severed >= 12_000);
    assert_eq!(versions(&admin).await, (2, Some(1)));

    // All is gone in the middle: the runner fills a version by itself, and the operator is told.
    let mut flushed = false;
    let lost = admin
        .rebuild(&mut |progress| {
            if progress.done > 8_000 && !std::mem::replace(&mut flushed, true) {
                assert_eq!(redis.cli(&["FLUSHALL"]).trim(), "OK");
            }
        })
        .await;
    assert!(matches!(lost, Err(ProjectionError::Superseded)), "{lost:?}");
    eventually("the counts", async || {
        let status = admin.status().await.unwrap();
        !status.closed && status.lag == 0
    })
    .await;
    running.settle(&log).await;
    assert_verified(&admin).await;
}

/// The runner is filling an empty Redis when an operator begins to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_of_an_empty_redis_beside_the_runner() {
    let redis = Redis::start();
    let log = MemoryLog::new();
    let mut world = World::populated(5, 3);
    for n in 0..20_000 {
        world.act(&Act::Send { room: n, member: n });
    }
    log.write(world.take());
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    begun(&redis, "1").await;
    let admin = other_process(&redis.url(), &log);
    admin.rebuild(&mut |_| {}).await.unwrap();
    running.settle(&log).await;
    assert_eq!(versions(&admin).await.0, 2);
    assert_verified(&admin).await;
    eventually("one version", async || tags(&redis).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_nothing_while_people_talk() {
    let redis = Redis::start();
    let busy = Busy::start();
    let running = Running::start(&redis.url(), &busy.log, &busy.relational);
    running.reach(500).await;
    let admin = other_process(&redis.url(), &busy.log);
    for _ in 0..10 {
        let before = busy.log.len();
        let verified = assert_verified(&admin).await;
        assert!(verified.position >= 500 && verified.rows > 10, "{verified:?}");
        busy.more(20).await;
        assert!(verified.position <= busy.log.len() && before <= busy.log.len());
    }
    busy.end(&running).await;
}

#[tokio::test]
async fn verify_tells_its_progress() {
    let (redis, log, _, _running) = filled().await;
    let mut stages = BTreeSet::new();
    let admin = other_process(&redis.url(), &log);
    let verified = admin
        .verify(&mut |p| _ = stages.insert((p.stage == Stage::Compare, p.done <= p.total)), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(stages.into_iter().collect::<Vec<_>>(), [(false, true), (true, true)]);
    assert_eq!(verified.position, log.len());
}

/// What of a difference is looked at.
fn short(difference: &Difference) -> (String, String, String) {
    let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
    assert_eq!(difference.projection, "unread_redis");
    (format!("{} {}", difference.table, difference.key), text(&difference.expected), text(&difference.found))
}

#[tokio::test]
async fn verify_finds_each_planted_difference_once() {
    let (redis, log, world, running) = filled().await;
    running.stop().await;
    let mut vandal = Vandal::new(&redis).await;
    let (one, other, third) = (world.member(0), world.member(1), world.member(2));
    let (room, second, last) = (world.room(0), world.room(1), world.room(2));
    let bytes = |id: uuid::Uuid| id.as_bytes().to_vec();
    let nobody = MemberId::from_uuid(uuid::Uuid::from_u128(5));
    let nowhere = RoomId::from_uuid(uuid::Uuid::from_u128(6));
    let mut planted = BTreeSet::new();
    let mut plant = |key: String, expected: &str, found: &str| {
        planted.insert((key, expected.to_owned(), found.to_owned()));
    };

    vandal.run("HSET", vandal.heads(), (bytes(room.as_uuid()), "7000")).await;
    plant(format!("heads room_id=\"{room}\""), "last_seq=67", "last_seq=7000");
    vandal.run("HDEL", vandal.heads(), bytes(last.as_uuid())).await;
    plant(format!("heads room_id=\"{last}\""), "last_seq=66", "nothing");
    vandal.run("HSET", vandal.heads(), (bytes(nowhere.as_uuid()), "1")).await;
    plant(format!("heads room_id=\"{nowhere}\""), "nothing", "last_seq=1");
    vandal.run("HSET", vandal.heads(), ("what", "1")).await;
    plant("heads room_id=\"what\"".to_owned(), "nothing", "last_seq=1");

    let model = redis_unread_common::model(&log, log.len());
    let read = |member: MemberId, room: RoomId| model.read.get(&(room, member)).copied().unwrap_or(0);
    let cursor =
        |member: MemberId, room: RoomId| format!("cursors member_id=\"{member}\", room_id=\"{room}\"");
    let inside = |member, room| format!("read_seq={}, joined=1", read(member, room));
    vandal.run("HSET", vandal.cursors(one), (bytes(room.as_uuid()), "1")).await;
    plant(cursor(one, room), &inside(one, room), "read_seq=1, joined=1");
    vandal
        .run("HSET", vandal.cursors(one), (bytes(second.as_uuid()), format!("-{}", read(one, second))))
        .await;
    plant(cursor(one, second), &inside(one, second), &format!("read_seq={}, joined=0", read(one, second)));
    vandal.run("HDEL", vandal.cursors(one), bytes(last.as_uuid())).await;
    plant(cursor(one, last), &inside(one, last), "nothing");
    vandal.run("HSET", vandal.cursors(one), (bytes(nowhere.as_uuid()), "3")).await;
    plant(cursor(one, nowhere), "nothing", "read_seq=3, joined=1");
    // Evicted, or deleted by hand.
    vandal.run("DEL", vandal.cursors(other), "no other key").await;
    for room in [room, second, last] {
        plant(cursor(other, room), &inside(other, room), "nothing");
    }
    vandal.run("SET", vandal.cursors(third), "nonsense").await;
    plant(format!("cursors member_id=\"{third}\""), "a hash", "a string");
    vandal.run("HSET", vandal.cursors(nobody), (bytes(room.as_uuid()), "-0")).await;
    plant(cursor(nobody, room), "nothing", "read_seq=0, joined=0");

    let deleted: Vec<u64> = model.deleted[&room].iter().copied().collect();
    assert!(deleted.len() > 3);
    let seq = |room: RoomId, seq: u64| format!("deleted room_id=\"{room}\", seq={seq}");
    vandal.run("ZREM", vandal.deleted(room), deleted[1]).await;
    plant(seq(room, deleted[1]), &format!("seq={}", deleted[1]), "nothing");
    vandal.run("ZADD", vandal.deleted(room), (66, 66)).await;
    plant(seq(room, 66), "nothing", "seq=66");
    vandal.run("ZADD", vandal.deleted(room), (2, deleted[2])).await;
    plant(format!("deleted room_id=\"{room}\", seq=\"{}\"", deleted[2]), "nothing", "score=2");
    plant(seq(room, deleted[2]), &format!("seq={}", deleted[2]), "nothing");
    vandal.run("SET", vandal.deleted(second), "nonsense").await;
    plant(format!("deleted room_id=\"{second}\""), "a sorted set", "a string");
    vandal.run("ZADD", vandal.deleted(nowhere), (1, 1)).await;
    plant(seq(nowhere, 1), "nothing", "seq=1");
    vandal.run("SET", format!("{}:what", vandal.base).into_bytes(), "x").await;
    plant(format!("keys \"{}:what\"", vandal.base), "nothing", "a key");

    let admin = other_process(&redis.url(), &log);
    let mut found = Vec::new();
    let verified = admin.verify(&mut |_| {}, &mut |difference| found.push(short(&difference))).await.unwrap();
    assert_eq!(verified.differences as usize, found.len());
    found.sort();
    assert_eq!(found, planted.into_iter().collect::<Vec<_>>());

    admin.rebuild(&mut |_| {}).await.unwrap();
    assert_verified(&admin).await;
    admin.drop_old().await.unwrap();
    assert_eq!(tags(&redis).len(), 1, "what was planted is gone, too");
}

#[tokio::test]
async fn verify_pages_through_a_room_with_very_many_deleted_messages() {
    let redis = Redis::start();
    let mut world = World::populated(2, 1);
    for _ in 0..3_000 {
        world.send(world.room(0), world.member(0));
    }
    for seq in 0..2_600 {
        world.act(&Act::Delete { room: 0, member: 0, seq });
    }
    let log = MemoryLog::new();
    log.write(world.take());
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    running.stop().await;
    let admin = other_process(&redis.url(), &log);
    let verified = assert_verified(&admin).await;
    assert_eq!(verified.rows, 1 + 2 + 2_600);
    let mut vandal = Vandal::new(&redis).await;
    let key = vandal.deleted(world.room(0));
    vandal.run("ZREM", key.clone(), &["1", "500", "501", "1700", "2600"][..]).await;
    vandal.run("ZADD", key, (2_601, 2_601)).await;
    let mut found = Vec::new();
    admin.verify(&mut |_| {}, &mut |difference| found.push(difference.key)).await.unwrap();
    let room = world.room(0);
    let wanted = [1, 500, 501, 1_700, 2_600, 2_601].map(|seq| format!("room_id=\"{room}\", seq={seq}"));
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn nonsense_in_the_position_is_mended_by_the_runner() {
    let (redis, log, world, running) = filled().await;
    for (field, value) in [("position", "x"), ("position", "3"), ("position", "9000000"), ("mark", "another")]
    {
        let base = Vandal::new(&redis).await.base;
        assert_eq!(redis.cli(&["HSET", &format!("{base}:meta"), field, value]).trim(), "0");
        eventually("another version", async || {
            // First: the status must be that of the other version.
            let another = Vandal::new(&redis).await.base != base;
            let status = running.unread.admin().status().await.unwrap();
            another && status.lag == 0 && !status.closed
        })
        .await;
        running.settle(&log).await;
        assert_verified(&running.unread.admin()).await;
    }
    let members: Vec<MemberId> = world.members.keys().copied().collect();
    assert_shows(&*running.unread.reader(), &log, &members).await;
}

#[tokio::test]
async fn another_log_is_refused() {
    let (redis, log, _, running) = filled().await;
    running.stop().await;
    let mut events = log.all();
    events.truncate(20);
    let admin = other_process(&redis.url(), &MemoryLog::with(events));
    let refused = admin.verify(&mut |_| {}, &mut |_| {}).await;
    assert!(matches!(refused, Err(ProjectionError::OtherLog { head: 20, .. })), "{refused:?}");
    let refused = admin.rebuild(&mut |_| {}).await;
    assert!(matches!(refused, Err(ProjectionError::OtherLog { head: 20, .. })), "{refused:?}");
    assert_eq!(tags(&redis).len(), 1);
}

#[tokio::test]
async fn the_verbs_on_a_cluster() {
    let mut cluster = RedisCluster::start();
    let log = MemoryLog::new();
    let mut world = World::populated(5, 3);
    for n in 0..500 {
        world.act(&Act::Send { room: n, member: n });
        world.act(&Act::Delete { room: n, member: n, seq: n as u64 });
    }
    log.write(world.take());
    let running = Running::start(&cluster.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    let url = cluster.nodes()[2].url();
    let admin = other_process(&url, &log);
    assert_verified(&admin).await;
    admin.rebuild(&mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await, (2, Some(1)));
    admin.rollback(&mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await, (1, Some(2)));
    admin.drop_old().await.unwrap();
    assert_verified(&admin).await;
    let sizes: Vec<String> =
        cluster.nodes().iter().map(|node| node.cli(&["DBSIZE"]).trim().to_owned()).collect();
    // versions, meta, heads, five members and three rooms with deleted messages: all on one server.
    assert_eq!(sizes.iter().filter(|size| *size == "0").count(), 2, "{sizes:?}");
    assert!(sizes.contains(&"11".to_owned()), "{sizes:?}");
    assert!(tokio::time::timeout(LIMIT, running.stop()).await.is_ok());
}

/// Nobody speaks TLS there: an error like any other.
#[tokio::test]
async fn a_server_without_tls_is_an_error() {
    let (redis, log, _, _running) = filled().await;
    let admin = other_process(&format!("rediss://127.0.0.1:{}/", redis.port()), &log);
    let failed = admin.rebuild(&mut |_| {}).await;
    assert!(matches!(failed, Err(ProjectionError::Redis(_))), "{failed:?}");
}
