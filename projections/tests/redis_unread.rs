//! What the unread counts in Redis show, and to whom they leave it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod redis_unread_common;

use common::{
    Backend, Bench, contract, eventually,
    log::MemoryLog,
    model::Model,
    world::{Act, World},
};
use proptest::{collection::vec, prelude::*};
use redis_unread_common::{Relational, Running, assert_shows, assert_verified, open, other_process};
use std::{sync::Arc, time::Duration};
use verbatim_application::{
    codec::Event,
    ports::{HistoryReader, Positions, ReadError, UnreadReader},
};
use verbatim_domain::{MemberId, RoomId, room::RoomEvent, text::RoomName};
use verbatim_servers::{Redis, RedisCluster};

/// Makes readers over a Redis of their own, with nobody to fall back to.
#[derive(Default)]
struct Filled {
    url: Option<String>,
    kept: Vec<(Option<Redis>, Running)>,
}

#[async_trait::async_trait]
impl contract::Factory for Filled {
    async fn history(&mut self, _: Vec<Event>) -> Arc<dyn HistoryReader> {
        unreachable!("Redis holds no history")
    }

    async fn unread(&mut self, events: Vec<Event>) -> Arc<dyn UnreadReader> {
        let redis = self.url.is_none().then(Redis::start);
        let url = self.url.clone().unwrap_or_else(|| redis.as_ref().unwrap().url());
        let log = MemoryLog::new();
        log.write(events);
        let running = Running::start(&url, &log, &Relational::broken(&log));
        running.settle(&log).await;
        let reader = running.unread.reader();
        self.kept.push((redis, running));
        reader
    }
}

#[tokio::test]
async fn the_contract_of_unread_readers() {
    contract::unread(&mut Filled::default()).await;
}

#[tokio::test]
async fn the_contract_of_unread_readers_on_a_cluster() {
    let cluster = RedisCluster::start();
    let mut factory = Filled { url: Some(cluster.url()), ..Filled::default() };
    contract::unread(&mut factory).await;
}

fn act() -> impl Strategy<Value = Act> {
    let (room, member, seq) = (0..6_usize, 0..6_usize, 0..40_u64);
    prop_oneof![
        2 => Just(Act::Register),
        3 => member.clone().prop_map(|member| Act::Create { member }),
        1 => (member.clone(), member.clone()).prop_map(|(member, other)| Act::Direct { member, other }),
        8 => (room.clone(), member.clone()).prop_map(|(room, member)| Act::Join { room, member }),
        4 => (room.clone(), member.clone()).prop_map(|(room, member)| Act::Leave { room, member }),
        2 => (room.clone(), member.clone(), member.clone())
            .prop_map(|(room, by, member)| Act::Remove { room, by, member }),
        20 => (room.clone(), member.clone()).prop_map(|(room, member)| Act::Send { room, member }),
        6 => (room.clone(), member.clone(), seq.clone())
            .prop_map(|(room, member, seq)| Act::Delete { room, member, seq }),
        6 => (room, member, seq).prop_map(|(room, member, seq)| Act::Read { room, member, seq }),
    ]
}

/// Redis, the SQL read model and the simplest model agree, however the log is cut into batches.
async fn check(redis: &Redis, events: Vec<Event>, cuts: Vec<usize>, world: &World) {
    assert_eq!(redis.cli(&["FLUSHALL"]).trim(), "OK");
    let bench = Bench::new(Backend::Sqlite);
    let sql = bench.start().await;
    let running = Running::start(&redis.url(), &bench.log, &Relational::broken(&bench.log));
    let mut rest = events.as_slice();
    for cut in cuts {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        bench.log.write(now.to_vec());
        running.settle(&bench.log).await;
        rest = later;
    }
    bench.log.write(rest.to_vec());
    running.settle(&bench.log).await;
    bench.settle(&sql.models).await;

    // `verify` folds the whole log with other cuts.
    assert_verified(&running.unread.admin()).await;
    let model = Model::of(&events);
    let rooms: Vec<RoomId> = world.rooms.keys().copied().collect();
    for member in world.members.keys() {
        let found = running.unread.reader().unread(*member).await.unwrap();
        let mut of_sql = sql.models.unread().unread(*member).await.unwrap();
        of_sql.rooms.sort_by_key(|view| view.room_id);
        let mut counts = found.rooms.clone();
        counts.sort_by_key(|view| view.room_id);
        assert_eq!(counts, model.unread(*member));
        assert_eq!(counts, of_sql.rooms);
        assert_eq!(found.position, of_sql.position);
        let mut some = running.unread.reader().unread_in(*member, &rooms[..rooms.len() / 2]).await.unwrap();
        let mut some_of_sql =
            sql.models.unread().unread_in(*member, &rooms[..rooms.len() / 2]).await.unwrap();
        some.sort_by_key(|view| view.room_id);
        some_of_sql.sort_by_key(|view| view.room_id);
        assert_eq!(some, some_of_sql);
    }
    assert_eq!(running.unread.statistics().from_fallback, 0);
    running.stop().await;
    sql.stop().await;
}

#[test]
fn any_cut_gives_the_counts_of_the_model_and_of_sql() {
    let redis = Redis::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases: 48, ..ProptestConfig::default() };
    proptest!(config, |(acts in vec(act(), 1..200), cuts in vec(0..40_usize, 0..8))| {
        let mut world = World::default();
        for act in &acts {
            world.act(act);
        }
        let events = world.take();
        runtime.block_on(check(&redis, events, cuts, &world));
    });
}

/// A log in which all of these members are in one room, and one of them has spoken.
fn small() -> (Arc<MemoryLog>, World) {
    let mut world = World::populated(3, 2);
    for _ in 0..5 {
        world.send(world.room(0), world.member(0));
    }
    let log = MemoryLog::new();
    log.write(world.take());
    (log, world)
}

/// Without a Redis that answers, reads come from the relational read models at once.
#[tokio::test]
async fn a_start_does_not_wait_for_redis() {
    let mut redis = Redis::start();
    redis.kill_9();
    let (log, world) = small();
    let relational = Relational::following(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    let members: Vec<MemberId> = world.members.keys().copied().collect();
    assert!(!running.unread.is_connected());
    assert!(relational.wait_for(log.len(), common::LIMIT).await);
    assert_shows(&*running.unread.reader(), &log, &members).await;
    assert_eq!(running.unread.statistics().from_redis, 0);

    redis.start_again();
    running.settle(&log).await;
    assert_shows(&*running.unread.reader(), &log, &members).await;
    let statistics = running.unread.statistics();
    assert!(statistics.from_redis >= 6 && statistics.connections >= 1, "{statistics:?}");
}

#[tokio::test]
async fn what_was_promised_is_shown_though_redis_is_behind() {
    let redis = Redis::start();
    let (log, mut world) = small();
    let relational = Relational::new(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    let unread = running.stop().await;
    let member = world.member(1);
    let reader = unread.reader();
    let before = reader.unread(member).await.unwrap();
    assert_eq!((before.position, relational.answers()), (log.len(), 0));

    // From now on Redis stands still.
    world.send(world.room(0), world.member(0));
    log.write(world.take());
    relational.set(log.len());
    assert_eq!(reader.unread(member).await.unwrap(), before, "nothing was promised");
    assert!(unread.positions().wait_for(log.len(), Duration::from_secs(1)).await);
    let after = reader.unread(member).await.unwrap();
    assert_eq!((after.position, relational.answers()), (log.len(), 1));
    assert_eq!(after.rooms.iter().map(|view| view.unread).sum::<u64>(), 6);
    let rooms = [world.room(0)];
    assert_eq!(reader.unread_in(member, &rooms).await.unwrap()[0].unread, 6);

    // A push does it, too.
    world.send(world.room(0), world.member(0));
    log.write(world.take());
    relational.set(log.len());
    unread.promise(log.len());
    assert_eq!(reader.unread_in(member, &rooms).await.unwrap()[0].unread, 7);

    // A wait that fails promises nothing.
    assert!(!unread.positions().wait_for(log.len() + 1, Duration::from_millis(5)).await);
    let catching_up = Running::start(&redis.url(), &log, &relational);
    catching_up.settle(&log).await;
    let answers = relational.answers();
    assert_eq!(reader.unread_in(member, &rooms).await.unwrap()[0].unread, 7);
    assert_eq!(relational.answers(), answers, "Redis answers again");
}

/// Redis came back with an older state, and the process has just been started.
#[tokio::test]
async fn a_node_that_has_shown_nothing_shows_no_older_state_either() {
    let redis = Redis::start();
    let (log, mut world) = small();
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    running.stop().await;
    world.send(world.room(0), world.member(0));
    log.write(world.take());
    let relational = Relational::new(&log);
    relational.set(log.len());
    let unread = open(&redis.url(), &log, &relational, None);
    eventually("the connection", async || unread.is_connected()).await;
    assert_eq!(unread.reader().unread(world.member(1)).await.unwrap().position, log.len());
    assert_eq!(relational.answers(), 1);
}

#[tokio::test]
async fn counts_never_go_back_when_redis_goes_away() {
    let mut redis = Redis::start();
    let (log, world) = small();
    let relational = Relational::new(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    let (member, reader) = (world.member(1), running.unread.reader());
    let shown = reader.unread(member).await.unwrap();
    assert_eq!(shown.position, log.len());
    redis.kill_9();
    // The relational read models are behind what was shown: their counts come once they are not.
    let late = tokio::spawn(async move { reader.unread(member).await });
    relational.set(log.len() - 1);
    tokio::task::yield_now().await;
    relational.set(log.len());
    assert_eq!(late.await.unwrap().unwrap().position, log.len());
    assert_eq!(running.unread.reader().unread(member).await.unwrap(), shown);
}

#[tokio::test]
async fn counts_that_would_go_back_are_refused() {
    let mut redis = Redis::start();
    let (log, world) = small();
    let relational = Relational::new(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    running.unread.reader().unread(world.member(1)).await.unwrap();
    redis.kill_9();
    relational.set(log.len() - 1);
    let refused = running.unread.reader().unread(world.member(1)).await;
    assert!(matches!(refused, Err(ReadError::Unavailable(_))), "{refused:?}");
    let refused = running.unread.reader().unread_in(world.member(1), &[world.room(0)]).await;
    assert!(matches!(refused, Err(ReadError::Unavailable(_))), "{refused:?}");
}

/// A member of so many rooms that one script would keep Redis for too long.
#[tokio::test]
async fn a_member_of_very_many_rooms_is_left_to_the_relational_read_models() {
    let redis = Redis::start();
    let log = MemoryLog::new();
    let creator = MemberId::from_uuid(uuid::Uuid::from_u128(7));
    let room = |number: u128| RoomId::from_uuid(uuid::Uuid::from_u128(number << 64 | 1));
    let created = |number| {
        let name = RoomName::parse("A room").unwrap();
        Event::Room(RoomEvent::GroupRoomCreated { room_id: room(number), name, creator, at: common::at(0) })
    };
    log.write((0..5_000).map(created));
    let relational = Relational::following(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    let reader = running.unread.reader();
    assert_eq!(reader.unread(creator).await.unwrap().rooms.len(), 5_000);
    assert_eq!(relational.answers(), 0);
    log.write([created(5_000)]);
    running.settle(&log).await;
    assert!(relational.wait_for(log.len(), common::LIMIT).await);
    assert_eq!(reader.unread(creator).await.unwrap().rooms.len(), 5_001);
    assert_eq!(relational.answers(), 1);
    // Asked about some, Redis can still answer, and about each once.
    let mut rooms: Vec<RoomId> = (0..1_200).map(room).collect();
    rooms.extend_from_within(..600);
    assert_eq!(reader.unread_in(creator, &rooms).await.unwrap().len(), 1_200);
    assert_eq!(relational.answers(), 1);
}

#[tokio::test]
async fn large_numbers_keep_all_their_digits() {
    let redis = Redis::start();
    let (log, mut world) = small();
    let (room, sender) = (world.room(0), world.member(0));
    world.send(room, sender);
    let mut last = world.take();
    let seq = 4_503_599_627_370_495;
    if let Some(Event::Room(RoomEvent::MessageSent { seq: of_message, .. })) = last.first_mut() {
        *of_message = seq;
    }
    log.write(last);
    let message_id = verbatim_domain::MessageId::from_uuid(uuid::Uuid::nil());
    let deleted = |seq| RoomEvent::MessageDeleted {
        room_id: room,
        message_id,
        seq,
        deleted_by: sender,
        at_seq: seq,
        deleted_at: common::at(0),
    };
    log.write([Event::Room(deleted(seq)), Event::Room(deleted(seq - 1))]);
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    let counts = running.unread.reader().unread_in(world.member(1), &[room]).await.unwrap();
    assert_eq!((counts[0].last_seq, counts[0].read_seq, counts[0].unread), (seq, 0, seq - 2));
    let counts = running.unread.reader().unread_in(sender, &[room]).await.unwrap();
    assert_eq!((counts[0].read_seq, counts[0].unread), (seq, 0));
    assert_verified(&running.unread.admin()).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_the_counts_and_is_never_skipped() {
    let redis = Redis::start();
    let (log, world) = small();
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    let before = log.len();
    let mut world = world;
    for _ in 0..5 {
        world.send(world.room(0), world.member(0));
    }
    let bad = before as usize + 2;
    log.edit(|events| {
        let later = MemoryLog::with(events.clone());
        later.write(world.take());
        *events = later.all();
        events[bad].event_version = "99".to_owned();
    });
    let admin = other_process(&redis.url(), &log);
    eventually("the error in the status", async || {
        let status = admin.status().await.unwrap();
        status.position == bad as u64 && status.last_error.is_some_and(|error| error.contains("v99"))
    })
    .await;
    assert_eq!(admin.status().await.unwrap().lag, 3);
    log.edit(|events| events[bad].event_version = "1".to_owned());
    running.settle(&log).await;
    assert_eq!(admin.status().await.unwrap().last_error, None);
    assert_verified(&admin).await;
}

/// One member's key is broken: that member is counted elsewhere, nobody else notices.
#[tokio::test]
async fn a_read_that_redis_refuses_comes_from_the_relational_read_models() {
    let redis = Redis::start();
    let (log, world) = small();
    let relational = Relational::following(&log);
    let running = Running::start(&redis.url(), &log, &relational);
    running.settle(&log).await;
    let tag = redis.cli(&["HGET", "{verbatim:unread}:versions", "active"]);
    let mut key = format!("{{verbatim:unread}}:v{}:m:", tag.trim()).into_bytes();
    key.extend(world.member(0).as_uuid().as_bytes());
    let client = redis::Client::open(redis.url()).unwrap();
    let mut vandal = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET").arg(&key).arg("nonsense").exec_async(&mut vandal).await.unwrap();
    let reader = running.unread.reader();
    assert_eq!(reader.unread(world.member(0)).await.unwrap().rooms.len(), 2);
    assert_eq!(relational.answers(), 1);
    assert_eq!(reader.unread(world.member(1)).await.unwrap().rooms.len(), 2);
    assert_eq!(relational.answers(), 1);
    assert!(running.unread.is_connected());
}

#[test]
fn a_url_that_is_none_is_refused_without_showing_it() {
    let log = MemoryLog::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _runtime = runtime.enter();
    let relational = Relational::new(&log);
    let refused = verbatim_projections::RedisUnread::open(
        "mysql://ann:hunter2@host/",
        log.clone(),
        relational.clone(),
        relational.clone(),
        Arc::new(common::FixedClock),
        Arc::new(verbatim_projections::NoObserver),
        None,
    );
    let text = format!("{:?}", refused.unwrap_err());
    assert!(!text.contains("hunter2"), "{text}");
    drop(open("redis://ann:hunter2@127.0.0.1:1/", &log, &relational, None));
}
