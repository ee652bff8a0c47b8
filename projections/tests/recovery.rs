//! What a start finds: no read model, one of another release, or one of another log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, Collector, Running, assert_verified, eventually,
    log::MemoryLog,
    tables,
    world::{Act, World},
};
use std::sync::Arc;
use verbatim_application::ports::{Range, ReadError};

async fn a_missing_read_model_is_made_and_filled(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(3, 3);
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    let models = running.models.clone();
    running.stop().await;
    models.close().await.unwrap();
    match backend {
        Backend::Sqlite => {
            let file = bench.path();
            assert!(!file.with_extension("db-wal").exists(), "closing leaves one file");
            std::fs::remove_file(file).unwrap();
        }
        Backend::MySql => {
            let (_, name) = bench.url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            tables::execute(&bench, &format!("DROP DATABASE {name}; CREATE DATABASE {name}")).await;
        }
    }
    let running = bench.start().await;
    bench.settle(&running.models).await;
    assert_verified(&running.models).await;
}

async fn another_schema_version_is_filled_anew_at_start(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    running.stop().await;
    tables::execute(&bench, "UPDATE projection_checkpoints SET schema_version = 0 WHERE name = 'members'")
        .await;

    let models = bench.open().await;
    assert_eq!(models.closed(), ["members"]);
    let refused = models.members().member(world.member(0)).await;
    assert!(matches!(refused, Err(ReadError::Unavailable(_))), "{refused:?}");
    assert!(models.rooms().room(world.room(0)).await.unwrap().is_some(), "the others are read meanwhile");
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    let running = Running::new(models);
    eventually("the end of the rebuild", async || running.models.closed().is_empty()).await;
    bench.settle(&running.models).await;
    let status = running.models.admin().status().await.unwrap();
    let versions: Vec<_> = status.iter().map(|s| (s.name, s.active_version, s.schema_version)).collect();
    assert_eq!(versions, [("rooms", 1, 1), ("message_history", 1, 1), ("members", 2, 1), ("unread", 1, 1)]);
    assert!(running.models.members().member(world.member(0)).await.unwrap().is_some());
    assert_verified(&running.models).await;
    eventually("the push", async || bench.broadcast.positions().last() == Some(&bench.log.len())).await;
}

/// Starts over a log that is not the one the read models were folded from.
async fn starts_over(mut bench: Bench, log: Arc<MemoryLog>, world: &World) {
    bench.log = log;
    let models = bench.open().await;
    assert_eq!(models.closed(), ["members", "message_history", "rooms", "unread"]);
    let refused = models.history().messages(world.room(0), Range::Newest, 10).await;
    assert!(
        matches!(refused, Err(ReadError::Unavailable(_))),
        "what is of another log is not shown: {refused:?}"
    );
    let running = Running::new(models);
    eventually("the end of the rebuild", async || running.models.closed().is_empty()).await;
    bench.settle(&running.models).await;
    let status = running.models.admin().status().await.unwrap();
    assert!(
        status.iter().all(|s| s.active_version == 2 && s.previous_version.is_none() && s.lag == 0),
        "{status:#?}"
    );
    assert_verified(&running.models).await;
    assert!(!running.models.history().messages(world.room(0), Range::Newest, 10).await.unwrap().is_empty());
    running.stop().await;
    assert_eq!(bench.open().await.closed(), [""; 0]);
}

async fn filled(backend: Backend) -> (Bench, World) {
    let bench = Bench::new(backend);
    let mut world = World::populated(3, 2);
    for n in 0..100 {
        world.act(&Act::Send { room: n, member: n });
    }
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    running.stop().await;
    (bench, world)
}

async fn an_older_log_beside_a_newer_read_model_is_noticed(backend: Backend) {
    let (bench, world) = filled(backend).await;
    let mut events = bench.log.all();
    events.truncate(60);
    starts_over(bench, MemoryLog::with(events), &world).await;
}

async fn an_older_log_that_was_written_on_is_noticed(backend: Backend) {
    let (bench, mut world) = filled(backend).await;
    let mut events = bench.log.all();
    let end = events.len();
    events.truncate(60);
    let log = MemoryLog::with(events);
    while log.len() < end as u64 + 20 {
        world.act(&Act::Rename { member: 0, name: log.len() as u8 });
        log.write(world.take());
    }
    starts_over(bench, log, &world).await;
}

async fn a_rebuild_while_the_service_is_down_tells_nobody_again(backend: Backend) {
    let mut bench = Bench::new(backend);
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    bench.settle(&running.models).await;
    running.stop().await;
    let models = bench.open().await;
    models.admin().rebuild(&models.admin().names(), &mut |_| {}).await.unwrap();
    models.close().await.unwrap();

    bench.broadcast = Collector::new();
    let running = bench.start().await;
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    eventually("the push", async || bench.broadcast.positions() == [bench.log.len()]).await;
    running.stop().await;
}

on_each_database! {
    a_missing_read_model_is_made_and_filled,
    another_schema_version_is_filled_anew_at_start,
    an_older_log_beside_a_newer_read_model_is_noticed,
    an_older_log_that_was_written_on_is_noticed,
    a_rebuild_while_the_service_is_down_tells_nobody_again,
}
