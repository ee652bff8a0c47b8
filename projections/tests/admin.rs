//! The operators' verbs, while the service runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, FixedClock, LIMIT, Running, assert_verified, eventually,
    log::MemoryLog,
    tables, talk, told,
    world::{Act, World},
};
use std::sync::{Arc, atomic::Ordering};
use tokio_util::sync::CancellationToken;
use verbatim_application::ports::Range;
use verbatim_projections::{Admin, ProjectionError, Stage};

const NAMES: [&str; 4] = ["rooms", "message_history", "members", "unread"];

/// The verbs as another process has them: with connections of its own.
async fn other_process(bench: &Bench) -> Admin {
    Admin::open(&bench.url(), bench.log.clone(), Arc::new(FixedClock)).await.unwrap()
}

/// A running service in which people talk.
struct Busy {
    bench: Bench,
    running: Running,
    stop: CancellationToken,
    talking: tokio::task::JoinHandle<World>,
}

impl Busy {
    async fn new(backend: Backend) -> Self {
        let bench = Bench::new(backend);
        let stop = CancellationToken::new();
        let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
        let running = bench.start().await;
        assert!(running.models.positions().wait_for(300, LIMIT).await);
        Self { bench, running, stop, talking }
    }

    /// Everybody stops talking; all that was said must have arrived, and been told once and in order.
    async fn end(self) -> (Bench, Running, World) {
        self.stop.cancel();
        let world = self.talking.await.unwrap();
        self.bench.settle(&self.running.models).await;
        assert_verified(&self.running.models).await;
        let all = self.bench.log.all();
        let spoken = |position: &u64| all[*position as usize - 1].event_type != "ReadCursorAdvanced";
        let wanted: Vec<u64> = told(&self.bench.log).into_iter().filter(spoken).collect();
        eventually("all pushes, once and in order", async || {
            let pushed: Vec<u64> = self.bench.broadcast.positions().into_iter().filter(spoken).collect();
            pushed == wanted
        })
        .await;
        (self.bench, self.running, world)
    }
}

async fn versions(admin: &Admin) -> Vec<(i32, Option<i32>)> {
    admin.status().await.unwrap().iter().map(|s| (s.active_version, s.previous_version)).collect()
}

async fn a_rebuild_by_another_process_while_people_talk(backend: Backend) {
    let busy = Busy::new(backend).await;
    let admin = other_process(&busy.bench).await;
    let reading = CancellationToken::new();
    let (models, token) = (busy.running.models.clone(), reading.clone());
    let rooms = models.rooms().discover(None, 10).await.unwrap().items;
    let readers = tokio::spawn(async move {
        let (mut longest, mut reads) = (0, 0);
        while !token.is_cancelled() {
            let page = models.history().messages(rooms[0].room_id, Range::Newest, 1).await.unwrap();
            assert!(page[0].seq >= longest, "a read never goes back");
            longest = page[0].seq;
            reads += 1;
            tokio::task::yield_now().await;
        }
        reads
    });
    for round in 1..=3 {
        let mut seen = Vec::new();
        admin.rebuild(&NAMES, &mut |progress| seen.push(progress)).await.unwrap();
        assert!(
            seen.iter().all(|p| p.stage == Stage::Fill && p.done <= p.total)
                && seen.is_sorted_by_key(|p| p.done)
        );
        assert_eq!(versions(&admin).await, [(round + 1, Some(round)); 4]);
    }
    reading.cancel();
    assert!(readers.await.unwrap() > 0);
    let (bench, ..) = busy.end().await;
    let old = tables::names(&bench, "%\\_v2").await;
    assert!(old.is_empty(), "only one version back is kept: {old:?}");
}

async fn a_rebuild_of_some_in_this_process_while_people_talk(backend: Backend) {
    let busy = Busy::new(backend).await;
    let admin = busy.running.models.admin();
    admin.rebuild(&["unread", "message_history"], &mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await, [(1, None), (2, Some(1)), (1, None), (2, Some(1))]);
    busy.end().await;
}

async fn rollback_catches_up_first_and_can_be_undone(backend: Backend) {
    let busy = Busy::new(backend).await;
    let admin = other_process(&busy.bench).await;
    admin.rebuild(&["message_history"], &mut |_| {}).await.unwrap();
    let later = busy.bench.log.len() + 200;
    assert!(busy.running.models.positions().wait_for(later, LIMIT).await);
    admin.rollback("message_history", &mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await[1], (1, Some(2)));
    let later = busy.bench.log.len() + 200;
    assert!(busy.running.models.positions().wait_for(later, LIMIT).await);
    admin.rollback("message_history", &mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await[1], (2, Some(1)));
    let (bench, ..) = busy.end().await;

    admin.drop_old("message_history").await.unwrap();
    assert_eq!(versions(&admin).await[1], (2, None));
    let tables = tables::names(&bench, "message%").await;
    assert_eq!(tables, ["message_senders_v2", "messages_v2"]);
    for result in
        [admin.drop_old("message_history").await, admin.rollback("message_history", &mut |_| {}).await]
    {
        assert!(matches!(result, Err(ProjectionError::NoPrevious(_))), "{result:?}");
    }
}

async fn rollback_refuses_what_another_release_wrote(backend: Backend) {
    let bench = Bench::new(backend);
    bench.log.write(World::populated(2, 1).take());
    let running = bench.start().await;
    let admin = running.models.admin();
    admin.rebuild(&["members"], &mut |_| {}).await.unwrap();
    tables::execute(
        &bench,
        "UPDATE projection_checkpoints SET schema_version = 0 WHERE name = 'members' AND version = 1",
    )
    .await;
    let refused = admin.rollback("members", &mut |_| {}).await;
    assert!(matches!(refused, Err(ProjectionError::OtherSchema(_))), "{refused:?}");
}

async fn names_are_checked(backend: Backend) {
    let bench = Bench::new(backend);
    let running = bench.start().await;
    let admin = running.models.admin();
    let unknown = admin.rebuild(&["rooms", "nonsense"], &mut |_| {}).await;
    assert!(matches!(&unknown, Err(ProjectionError::Unknown(name)) if name == "nonsense"), "{unknown:?}");
    assert_eq!(admin.names(), NAMES);
    assert_eq!(versions(&admin).await, [(1, None); 4]);
}

async fn of_two_rebuilds_the_later_one_wins(backend: Backend) {
    let bench = Bench::new(backend);
    bench.log.write(World::populated(3, 2).take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    let hanging = MemoryLog::with(bench.log.all());
    hanging.broken.store(true, Ordering::SeqCst);
    let first = Admin::open(&bench.url(), hanging.clone(), Arc::new(FixedClock)).await.unwrap();
    let first = tokio::spawn(async move { first.rebuild(&NAMES, &mut |_| {}).await });
    eventually("the first has begun", async || {
        tables::number(&bench, "SELECT latest_version FROM projections WHERE name = 'unread'").await == 2
    })
    .await;
    let second = other_process(&bench).await;
    second.rebuild(&NAMES, &mut |_| {}).await.unwrap();
    hanging.broken.store(false, Ordering::SeqCst);
    let lost = first.await.unwrap();
    assert!(matches!(lost, Err(ProjectionError::Superseded)), "{lost:?}");
    assert_eq!(versions(&second).await, [(3, Some(1)); 4]);
    assert_verified(&running.models).await;
}

async fn a_rebuild_that_dies_leaves_the_live_versions_and_is_cleared_away(backend: Backend) {
    let bench = Bench::new(backend);
    bench.log.write(World::populated(3, 2).take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    let hanging = MemoryLog::with(bench.log.all());
    hanging.broken.store(true, Ordering::SeqCst);
    let dying = Admin::open(&bench.url(), hanging, Arc::new(FixedClock)).await.unwrap();
    let dying = tokio::spawn(async move { dying.rebuild(&NAMES, &mut |_| {}).await });
    eventually("it has begun", async || {
        tables::number(&bench, "SELECT latest_version FROM projections WHERE name = 'unread'").await == 2
    })
    .await;
    dying.abort();
    let admin = running.models.admin();
    assert_eq!(versions(&admin).await, [(1, None); 4]);
    admin.rebuild(&NAMES, &mut |_| {}).await.unwrap();
    assert_eq!(versions(&admin).await, [(3, Some(1)); 4]);
    let left = tables::names(&bench, "%\\_v2").await;
    assert!(left.is_empty(), "{left:?}");
}

async fn verify_finds_nothing_while_people_talk(backend: Backend) {
    let busy = Busy::new(backend).await;
    let admin = other_process(&busy.bench).await;
    for _ in 0..5 {
        let (mut differences, mut stages) = (Vec::new(), Vec::new());
        let verified =
            admin.verify(&NAMES, &mut |p| stages.push(p.stage), &mut |d| differences.push(d)).await.unwrap();
        assert!(differences.is_empty(), "{differences:#?}");
        assert!(verified.position >= 300 && verified.rows > 100, "{verified:?}");
        assert!(stages.contains(&Stage::Fill) && stages.contains(&Stage::Compare));
    }
    busy.end().await;
}

async fn verify_finds_each_planted_difference(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(3, 2);
    for n in 0..5_000 {
        world.act(&Act::Send { room: n, member: n });
    }
    world.act(&Act::Delete { room: 0, member: 0, seq: 0 });
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    running.stop().await;
    let room = world.room(0);
    let plant = async |sql: &str| assert_eq!(tables::execute(&bench, sql).await, 1, "{sql}");
    plant(&format!("UPDATE messages_v1 SET body = 'never said' WHERE room_id = '{room}' AND seq = 7")).await;
    plant(&format!("DELETE FROM messages_v1 WHERE room_id = '{room}' AND seq = 2500")).await;
    plant(&format!(
        "INSERT INTO messages_v1 SELECT room_id, 9999, message_id, sender_id, body, sent_at, edited_at, deleted \
         FROM messages_v1 WHERE room_id = '{room}' AND seq = 8"
    ))
    .await;
    plant(&format!("UPDATE unread_heads_v1 SET last_seq = last_seq + 1 WHERE room_id = '{room}'")).await;
    plant(&format!(
        "DELETE FROM room_members_v1 WHERE room_id = '{room}' AND member_id = '{}'",
        world.member(1)
    ))
    .await;
    plant(&format!("UPDATE members_v1 SET display_name = 'Mallory' WHERE member_id = '{}'", world.member(2)))
        .await;

    let admin = other_process(&bench).await;
    let mut found = Vec::new();
    let verified = admin.verify(&NAMES, &mut |_| {}, &mut |d| found.push(d)).await.unwrap();
    assert_eq!((verified.differences, verified.position), (6, bench.log.len()));
    let mut short: Vec<_> =
        found.iter().map(|d| (d.projection, d.table, d.expected.is_some(), d.found.is_some())).collect();
    short.sort_unstable();
    assert_eq!(
        short,
        [
            ("members", "members", true, true),
            ("message_history", "messages", false, true),
            ("message_history", "messages", true, false),
            ("message_history", "messages", true, true),
            ("rooms", "room_members", true, false),
            ("unread", "unread_heads", true, true),
        ]
    );
    let changed =
        found.iter().find(|d| d.found.as_ref().is_some_and(|row| row.contains("never said"))).unwrap();
    assert_eq!(changed.key, format!("room_id=\"{room}\", seq=7"));
    assert!(changed.to_string().contains("expected room_id"), "{changed}");
    let some = admin.verify(&["unread"], &mut |_| {}, &mut |_| {}).await.unwrap();
    assert_eq!(some.differences, 1);

    admin.rebuild(&NAMES, &mut |_| {}).await.unwrap();
    let verified = admin.verify(&NAMES, &mut |_| {}, &mut |d| panic!("{d}")).await.unwrap();
    assert_eq!(verified.differences, 0, "a rebuild mends it");
}

async fn verify_refuses_another_log(backend: Backend) {
    let bench = Bench::new(backend);
    bench.log.write(World::populated(2, 1).take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    let mut events = bench.log.all();
    events.truncate(2);
    let admin = Admin::open(&bench.url(), MemoryLog::with(events), Arc::new(FixedClock)).await.unwrap();
    let refused = admin.verify(&NAMES, &mut |_| {}, &mut |_| {}).await;
    assert!(matches!(refused, Err(ProjectionError::OtherLog { head: 2, .. })), "{refused:?}");
    let refused = admin.rebuild(&NAMES, &mut |_| {}).await;
    assert!(matches!(refused, Err(ProjectionError::OtherLog { head: 2, .. })), "{refused:?}");
}

on_each_database! {
    a_rebuild_by_another_process_while_people_talk,
    a_rebuild_of_some_in_this_process_while_people_talk,
    rollback_catches_up_first_and_can_be_undone,
    rollback_refuses_what_another_release_wrote,
    names_are_checked,
    of_two_rebuilds_the_later_one_wins,
    a_rebuild_that_dies_leaves_the_live_versions_and_is_cleared_away,
    verify_finds_nothing_while_people_talk,
    verify_finds_each_planted_difference,
    verify_refuses_another_log,
}
