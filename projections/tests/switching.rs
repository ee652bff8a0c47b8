//! What readers see while versions are switched, and what a switch that is broken off leaves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, FixedClock, LIMIT, Running, assert_verified,
    elections::Usurper,
    eventually,
    model::Model,
    tables, talk,
    world::{Act, World},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use verbatim_application::{codec::Envelope, ports::Range};
use verbatim_projections::{Admin, ReadModels};

const NAMES: [&str; 4] = ["rooms", "message_history", "members", "unread"];

async fn other_process(bench: &Bench) -> Admin {
    Admin::open(&bench.url(), bench.log.clone(), Arc::new(FixedClock)).await.unwrap()
}

/// Which version each view shows, and which one is active, by projection.
async fn assert_views_show_what_is_active(bench: &Bench) {
    let views = [("rooms", "rooms"), ("rooms", "room_members"), ("message_history", "messages")];
    let more = [("message_history", "message_senders"), ("members", "members"), ("unread", "unread_counts")];
    for (projection, view) in views.into_iter().chain(more) {
        let active = format!("SELECT active_version FROM projections WHERE name = '{projection}'");
        let active = tables::number(bench, &active).await;
        let definition = format!(
            "SELECT view_definition FROM information_schema.views WHERE table_schema = DATABASE() AND table_name = '{view}'"
        );
        let definition = tables::texts(bench, &definition).await.remove(0);
        let shown =
            definition.split("_v").nth(1).unwrap().split(|c: char| !c.is_ascii_digit()).next().unwrap();
        assert_eq!(shown.parse::<i64>().unwrap(), active, "{view}: {definition}");
    }
}

/// Counts are those of exactly the position that comes with them, whatever happens.
async fn counts_fit_their_position(
    models: ReadModels,
    bench_log: Arc<common::log::MemoryLog>,
    until: CancellationToken,
) {
    let (mut model, mut applied, mut member, mut looked) = (Model::default(), 0, None, 0);
    while !until.is_cancelled() {
        let member = *member.get_or_insert_with(|| World::populated(6, 3).member(4));
        let mut snapshot = models.unread().unread(member).await.unwrap();
        let events = bench_log.all();
        assert!(snapshot.position >= applied, "positions never go back");
        for event in &events[applied as usize..snapshot.position as usize] {
            model.apply(&Envelope::decode(event).unwrap().event);
        }
        applied = snapshot.position;
        snapshot.rooms.sort_by_key(|unread| unread.room_id);
        assert_eq!(snapshot.rooms, model.unread(member), "at {applied}");
        looked += 1;
        tokio::task::yield_now().await;
    }
    assert!(looked > 20, "looked {looked} times");
}

async fn a_snapshot_is_of_one_position_while_versions_are_switched(backend: Backend) {
    let bench = Bench::new(backend);
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    let running = bench.start().await;
    assert!(running.models.positions().wait_for(200, LIMIT).await);
    let follower = bench.join(Usurper::leadership()).await;
    let (one, other) = (running.models.clone(), follower);
    let looking = [one, other]
        .map(|models| tokio::spawn(counts_fit_their_position(models, bench.log.clone(), stop.clone())));
    let admin = other_process(&bench).await;
    for _ in 0..4 {
        admin.rebuild(&NAMES, &mut |_| {}).await.unwrap();
    }
    for _ in 0..2 {
        admin.rollback("unread", &mut |_| {}).await.unwrap();
    }
    stop.cancel();
    for looking in looking {
        looking.await.unwrap();
    }
    talking.await.unwrap();
    bench.settle(&running.models).await;
    assert_verified(&running.models).await;
}

/// As a process leaves it that dies after the first view was replaced.
async fn break_off_a_switch(bench: &Bench) {
    let hold =
        "UPDATE projection_checkpoints SET held_since = '2026-07-01T00:00:00.000000Z' WHERE version = 2";
    assert_eq!(tables::execute(bench, hold).await, 4);
    let view = "CREATE OR REPLACE VIEW messages AS SELECT m.room_id, m.seq, m.message_id, m.sender_id, m.body, m.sent_at, \
                m.edited_at, m.deleted FROM messages_v1 AS m";
    tables::execute(bench, view).await;
}

/// Read models on MySQL that another process has rebuilt.
async fn rebuilt_once() -> (Bench, World, Running) {
    let bench = Bench::new(Backend::MySql);
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    other_process(&bench).await.rebuild(&NAMES, &mut |_| {}).await.unwrap();
    (bench, world, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runner_undoes_a_switch_that_was_broken_off() {
    let (bench, mut world, running) = rebuilt_once().await;
    break_off_a_switch(&bench).await;
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    bench.settle(&running.models).await;
    assert_views_show_what_is_active(&bench).await;
    let newest = running.models.history().messages(world.room(0), Range::Newest, 1).await.unwrap();
    assert_eq!(newest.len(), 1);
    assert_verified(&running.models).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_operator_undoes_a_switch_that_was_broken_off() {
    let (bench, _, running) = rebuilt_once().await;
    running.stop().await;
    break_off_a_switch(&bench).await;
    other_process(&bench).await.drop_old("unread").await.unwrap();
    assert_views_show_what_is_active(&bench).await;
    let held = "SELECT COUNT(*) FROM projection_checkpoints WHERE held_since IS NOT NULL AND version = 2";
    assert_eq!(tables::number(&bench, held).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_undoes_the_switch_of_one_who_lives() {
    let (bench, mut world, running) = rebuilt_once().await;
    let living = tables::connect(&bench).await;
    let lock = "SELECT GET_LOCK(CONCAT('verbatim:', LEFT(DATABASE(), 55)), 0)";
    sea_orm::ConnectionTrait::execute_unprepared(&living, lock).await.unwrap();
    break_off_a_switch(&bench).await;
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    let patience = Duration::from_secs(3);
    assert!(!running.models.positions().wait_for(bench.log.len(), patience).await, "the runner stands still");
    assert_eq!(running.models.admin().status().await.unwrap()[0].last_error, None);
    living.close().await.unwrap();
    bench.settle(&running.models).await;
    assert_views_show_what_is_active(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_broken_off_anywhere_leave_nothing_wrong() {
    let bench = Bench::new(Backend::MySql);
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    let running = bench.start().await;
    assert!(running.models.positions().wait_for(300, LIMIT).await);
    for round in 0..12_u64 {
        let admin = other_process(&bench).await;
        let rebuild = tokio::spawn(async move { admin.rebuild(&NAMES, &mut |_| {}).await });
        // A moment later in each round; the last ones come to their end.
        let _ = tokio::time::timeout(Duration::from_millis(15 * round), async {
            eventually("the end", async || rebuild.is_finished()).await;
        })
        .await;
        rebuild.abort();
        let _ = rebuild.await;
    }
    stop.cancel();
    talking.await.unwrap();
    bench.settle(&running.models).await;
    assert_verified(&running.models).await;
    running.models.admin().rebuild(&NAMES, &mut |_| {}).await.unwrap();
    assert_verified(&running.models).await;
    assert_views_show_what_is_active(&bench).await;
    let versions = tables::names(&bench, "messages\\_v%").await;
    assert_eq!(versions.len(), 2, "what was broken off is cleared away: {versions:?}");
}

on_each_database!(a_snapshot_is_of_one_position_while_versions_are_switched);
