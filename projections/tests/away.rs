//! A MySQL server that is killed, hangs, or can't be reached, and what goes on meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::{
    Bench, Errors, FixedClock, LIMIT, Running, Store, assert_verified,
    elections::{Elections, Usurper},
    eventually,
    log::MemoryLog,
    talk,
    world::{Act, World},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verbatim_application::ports::{Range, ReadError};
use verbatim_domain::RoomId;
use verbatim_projections::{Admin, Options, PAGE_MAX, ProjectionError, READ_LIMIT, ReadModels};
use verbatim_servers::{MariaDb, Proxy};

/// What a call may take beyond its own time limit, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(2);

/// A server of one's own, with a database on it.
struct Server {
    server: MariaDb,
    bench: Bench,
}

impl Server {
    fn start() -> Self {
        let server = MariaDb::start();
        server.create_database("verbatim");
        let bench = Bench {
            store: Store::Url(server.url("verbatim")),
            log: MemoryLog::new(),
            broadcast: common::Collector::new(),
        };
        Self { server, bench }
    }

    /// Where it is behind a proxy.
    fn url_by(proxy: &Proxy) -> String {
        format!("mysql://root@127.0.0.1:{}/verbatim", proxy.port())
    }
}

async fn newest(models: &ReadModels, room: RoomId) -> Result<u64, ReadError> {
    let page = models.history().messages(room, Range::Newest, 1).await?;
    Ok(page.last().map_or(0, |message| message.seq))
}

/// All reads are refused, none of them later than a read may take.
async fn assert_refuses(models: &ReadModels, world: &World) {
    for member in 0..3 {
        let begun = Instant::now();
        let (history, unread) = (models.history(), models.unread());
        let (one, other) = tokio::join!(
            history.messages(world.room(0), Range::Newest, PAGE_MAX),
            unread.unread(world.member(member))
        );
        assert!(matches!(one, Err(ReadError::Unavailable(_))), "{one:?}");
        assert!(matches!(other, Err(ReadError::Unavailable(_))), "{other:?}");
        assert!(begun.elapsed() < READ_LIMIT + SLACK, "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    assert!(!models.positions().wait_for(u64::MAX, Duration::from_millis(200)).await);
    assert!(begun.elapsed() < SLACK);
}

/// Reads and projections are as if nothing had been; tells how long that took.
async fn assert_recovers(what: &str, bench: &Bench, models: &ReadModels, world: &mut World) {
    let begun = Instant::now();
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    let room = world.room(0);
    let last_seq = world.rooms[&room].last_seq();
    eventually("the last message is there", async || newest(models, room).await.ok() == Some(last_seq)).await;
    println!("{what}: back after {:?}", begun.elapsed());
    bench.settle(models).await;
    assert_verified(models).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_and_doubles_nothing() {
    let Server { mut server, bench } = Server::start();
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    let errors = Arc::new(Errors::default());
    let running = Running::new(bench.open_observed(errors.clone()).await);
    let models = &running.models;
    for round in 1..=4 {
        assert!(models.positions().wait_for(round * 150, LIMIT).await);
        let so_far = errors.0.lock().unwrap().len();
        server.kill_9();
        eventually("the runner has met it", async || errors.0.lock().unwrap().len() > so_far).await;
        server.start_again();
    }
    stop.cancel();
    let mut world = talking.await.unwrap();
    assert_recovers("killed", &bench, models, &mut world).await;
    server.kill_9();
    assert_refuses(models, &world).await;
    server.start_again();
    assert_recovers("killed and asked", &bench, models, &mut world).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_given_up_in_time() {
    let Server { server, bench } = Server::start();
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let errors = Arc::new(Errors::default());
    let running = Running::new(bench.open_observed(errors.clone()).await);
    let models = &running.models;
    bench.settle(models).await;
    for _ in 0..2 {
        server.freeze();
        world.act(&Act::Send { room: 1, member: 1 });
        bench.log.write(world.take());
        assert_refuses(models, &world).await;
        eventually("the runner gives up", async || !errors.0.lock().unwrap().is_empty()).await;
        server.thaw();
        assert_recovers("frozen", &bench, models, &mut world).await;
        errors.0.lock().unwrap().clear();
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_is_given_up_in_time() {
    let Server { server, bench } = Server::start();
    let proxy = Proxy::start(server.port());
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let errors = Arc::new(Errors::default());
    let (log, broadcast) = (bench.log.clone(), bench.broadcast.clone());
    let (clock, url) = (Arc::new(FixedClock), Server::url_by(&proxy));
    let models = ReadModels::open_observed(&url, log, broadcast, clock, errors.clone()).await.unwrap();
    let running = Running::new(models);
    let models = &running.models;
    bench.settle(models).await;
    for _ in 0..2 {
        proxy.cut();
        world.act(&Act::Send { room: 1, member: 1 });
        bench.log.write(world.take());
        assert_refuses(models, &world).await;
        eventually("the runner gives up", async || !errors.0.lock().unwrap().is_empty()).await;
        proxy.heal();
        assert_recovers("cut", &bench, models, &mut world).await;
        errors.0.lock().unwrap().clear();
    }
    proxy.sever();
    assert_recovers("severed", &bench, models, &mut world).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_who_is_cut_off_makes_room_for_another_one() {
    let Server { server, bench } = Server::start();
    let proxy = Proxy::start(server.port());
    let elections = Elections::new();
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let cut_off = Running::new(bench.join_by(&Server::url_by(&proxy), elections.candidate(0)).await);
    bench.settle(&cut_off.models).await;
    let other = Running::new(bench.join(elections.candidate(1)).await);
    assert!(cut_off.models.is_leading());
    proxy.cut();
    let begun = Instant::now();
    world.act(&Act::Send { room: 1, member: 1 });
    bench.log.write(world.take());
    bench.settle(&other.models).await;
    println!("a leader who was cut off was replaced after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(8) + SLACK);
    assert_eq!(elections.leader(), Some(1));
    proxy.heal();
    bench.settle(&cut_off.models).await;
    assert_verified(&cut_off.models).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_process_stops_in_the_middle_of_writing_blocks_nobody_for_long() {
    let Server { server, bench } = Server::start();
    let proxy = Proxy::start(server.port());
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let stopped = Running::new(bench.join_by(&Server::url_by(&proxy), Usurper::leadership()).await);
    bench.settle(&stopped.models).await;
    // As one that is stopped in its tracks (SIGSTOP, a machine that is gone): the server holds its locks and hears no more.
    world.act(&Act::Send { room: 0, member: 0 });
    let vandal = common::tables::connect(&bench).await;
    let txn = sea_orm::TransactionTrait::begin(&vandal).await.unwrap();
    let lock = "UPDATE unread_heads_v1 SET last_seq = last_seq";
    sea_orm::ConnectionTrait::execute_unprepared(&txn, lock).await.unwrap();
    bench.log.write(world.take());
    let waits =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO unread_heads%'";
    eventually("it waits in the middle", async || common::tables::number(&bench, waits).await == 1).await;
    proxy.cut();
    txn.rollback().await.unwrap();
    let begun = Instant::now();
    let other = Running::new(bench.join(Usurper::leadership()).await);
    bench.settle(&other.models).await;
    println!("locks of one that stopped were gone after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5) + SLACK);
    proxy.heal();
    bench.settle(&stopped.models).await;
    assert_verified(&other.models).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_server_waits_for_it_and_refuses_meanwhile() {
    let Server { mut server, bench } = Server::start();
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    for frozen in [false, true] {
        if frozen {
            server.freeze();
        } else {
            server.kill_9();
        }
        let begun = Instant::now();
        let models = bench.open().await;
        println!("opened without it after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10) + SLACK);
        assert_eq!(models.closed(), ["members", "message_history", "rooms", "unread"]);
        assert_refuses(&models, &world).await;
        let running = Running::new(models);
        let refused = Admin::open(&bench.url(), bench.log.clone(), Arc::new(FixedClock)).await.map(drop);
        assert!(
            matches!(refused, Err(ProjectionError::Database(_))),
            "an operator is told at once: {refused:?}"
        );
        if frozen {
            server.thaw();
        } else {
            server.start_again();
        }
        assert_recovers("away at the start", &bench, &running.models, &mut world).await;
        assert_eq!(running.models.closed(), [""; 0]);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_outlasts_a_server_that_is_killed() {
    let Server { mut server, bench } = Server::start();
    let mut world = World::populated(6, 3);
    for n in 0..30_000 {
        world.act(&Act::Send { room: n / 3, member: n });
    }
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    let admin = running.models.admin();
    let begun = CancellationToken::new();
    let begins = begun.clone();
    let rebuild = tokio::spawn(async move {
        admin
            .rebuild(&admin.names(), &mut |p| {
                if p.done > 0 {
                    begins.cancel()
                }
            })
            .await
    });
    begun.cancelled().await;
    server.kill_9();
    server.start_again();
    rebuild.await.unwrap().unwrap();
    let status = running.models.admin().status().await.unwrap();
    assert!(status.iter().all(|s| s.active_version == 2 && s.previous_version == Some(1)), "{status:#?}");
    assert_recovers("killed in a rebuild", &bench, &running.models, &mut world).await;
}

#[tokio::test]
async fn errors_of_opening_are_clear_and_keep_the_password() {
    let database = verbatim_servers::mysql_database();
    let (_, place) = database.url().split_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    let wrong = [
        (format!("mysql://nobody:pass_word@{place}"), "Access denied"),
        (format!("mysql://nobody:pass_word@{address}"), "names no database"),
        (format!("mysql://root@{address}/pass_word_not_there"), "nknown database"),
        (format!("postgres://nobody:pass_word@{place}"), "neither with sqlite: nor with mysql:"),
        ("mysql://nobody:pass_word@127.0.0.1:port/name".to_owned(), "invalid port number"),
        ("pass_word".to_owned(), "neither with sqlite: nor with mysql:"),
    ];
    for (url, expected) in wrong {
        let (log, broadcast) = (MemoryLog::new(), common::Collector::new());
        let clock = Arc::new(FixedClock);
        let error = ReadModels::open_with(&url, log, broadcast, clock, Options::default())
            .await
            .map(drop)
            .unwrap_err();
        let mut text = format!("{error:?} {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("pass_word@") && !text.contains("pass_word:"), "{text}");
        assert!(!text.contains("pass_word") || url.ends_with("pass_word_not_there"), "{text}");
    }
}
