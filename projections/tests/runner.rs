//! The live runner: what it tells, and what it survives.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, Errors, LIMIT, Running, assert_verified, at, eventually, tables, talk, told,
    world::{Act, World},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use verbatim_application::push::Change;

async fn subscribers_are_told_in_log_order_with_the_names_of_now(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::default();
    let acts = [
        Act::Register,
        Act::Register,
        Act::Create { member: 0 },
        Act::Add { room: 0, by: 0, member: 1 },
        Act::Send { room: 0, member: 0 },
        Act::Send { room: 0, member: 0 },
        Act::Edit { room: 0, member: 0, seq: 0 },
        Act::Delete { room: 0, member: 0, seq: 0 },
        Act::Rename { member: 0, name: 5 },
        Act::Read { room: 0, member: 1, seq: 1 },
        Act::Remove { room: 0, by: 0, member: 1 },
        Act::Leave { room: 0, member: 0 },
        Act::Direct { member: 0, other: 1 },
    ];
    acts.iter().for_each(|act| world.act(act));
    let (one, other, room) = (world.member(0), world.member(1), world.room(0));
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    eventually("the last push", async || bench.broadcast.positions().last() == Some(&bench.log.len())).await;

    let mut pushes = bench.broadcast.taken.lock().unwrap().clone();
    let positions: Vec<u64> = pushes.iter().map(|push| push.position).collect();
    assert_eq!(positions, [3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 14]);
    assert!(pushes.iter().take(9).all(|push| push.room_id == room));
    let mut next = || pushes.remove(0).change;

    let Change::Joined(owner) = next() else { panic!("not the creator") };
    assert_eq!((owner.member_id, owner.display_name.as_str(), owner.by), (one, "Name 5", None));
    let Change::Joined(added) = next() else { panic!("not the one who was added") };
    assert_eq!((added.member_id, added.display_name.as_str(), added.by), (other, "Member 1", Some(one)));
    let Change::Sent(first) = next() else { panic!("not a message") };
    assert_eq!((first.seq, first.sender_name.as_str(), first.deleted), (1, "Name 5", false));
    assert_eq!(first.body, "said at 6 — naïve ✓", "as it was sent, though it is deleted now");
    let Change::Sent(_) = next() else { panic!("not a message") };
    let Change::Edited(edited) = next() else { panic!("not an edit") };
    assert_eq!((edited.seq, edited.body.as_str(), edited.edited_at), (1, "edited at 9", Some(at(9))));
    assert_eq!(
        (edited.message_id, edited.sent_at, edited.sender_name.as_str()),
        (first.message_id, first.sent_at, "Name 5")
    );
    let Change::Deleted(deleted) = next() else { panic!("not a deletion") };
    assert_eq!((deleted.seq, deleted.body.as_str(), deleted.deleted), (1, "", true));
    // The one who read has left by the end of this batch, so nobody is told what is left unread.
    let Change::Left(left) = next() else { panic!("not one who was put out") };
    assert_eq!((left.member_id, left.by, left.last_seq), (other, Some(one), 2));
    let Change::Left(left) = next() else { panic!("not one who went") };
    assert_eq!((left.member_id, left.by), (one, None));
}

async fn a_reader_is_told_what_is_left(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(2, 1);
    for _ in 0..5 {
        world.send(world.room(0), world.member(0));
    }
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    world.act(&Act::Read { room: 0, member: 1, seq: 3 });
    bench.log.write(world.take());
    eventually("the push", async || bench.broadcast.positions().last() == Some(&bench.log.len())).await;
    let Some(Change::Read { member_id, unread }) =
        bench.broadcast.taken.lock().unwrap().last().map(|push| push.change.clone())
    else {
        panic!("not a reader's mark")
    };
    assert_eq!(member_id, world.member(1));
    assert_eq!((unread.unread, unread.last_seq, unread.read_seq), (2, 5, 3));
    assert_eq!(running.models.unread().unread(member_id).await.unwrap().rooms, [unread]);
}

async fn what_is_pushed_can_be_read_at_once(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(1, 1);
    let running = bench.start().await;
    let mut pushes = bench.broadcast.sender.subscribe();
    let (room, member) = (world.room(0), world.member(0));
    let mut seen = 0;
    while seen < 50 {
        world.send(room, member);
        bench.log.write(world.take());
        let batch = tokio::time::timeout(LIMIT, pushes.recv()).await.unwrap().unwrap();
        for push in batch.iter() {
            if let Change::Sent(message) = &push.change {
                let history = running.models.history();
                assert_eq!(history.message(room, message.seq).await.unwrap().as_ref(), Some(message));
                seen = message.seq;
            }
        }
    }
}

async fn a_refused_broadcast_is_repeated_without_a_hole(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    *bench.broadcast.refusals.lock().unwrap() = 4;
    for n in 0..40 {
        world.act(&Act::Send { room: n, member: n });
        bench.log.write(world.take());
        bench.settle(&running.models).await;
    }
    eventually("the last push", async || bench.broadcast.positions() == told(&bench.log)).await;
    assert_eq!(*bench.broadcast.refusals.lock().unwrap(), 0);
}

async fn an_event_that_cannot_be_read_stops_the_projections_and_is_never_skipped(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(2, 1);
    for _ in 0..10 {
        world.send(world.room(0), world.member(0));
    }
    bench.log.write(world.take());
    let bad = bench.log.len() - 4;
    bench.log.edit(|events| events[bad as usize - 1].event_version = "99".to_owned());
    let running = bench.start().await;
    assert!(running.models.positions().wait_for(bad - 1, LIMIT).await, "what comes before is applied");
    let admin = running.models.admin();
    eventually("the error in the status", async || {
        let status = admin.status().await.unwrap();
        status
            .iter()
            .all(|s| s.last_error.as_ref().is_some_and(|e| e.contains("v99")) && s.position == bad - 1)
    })
    .await;
    assert!(!running.models.positions().wait_for(bad, Duration::from_millis(50)).await);

    bench.log.edit(|events| events[bad as usize - 1].event_version = "1".to_owned());
    bench.settle(&running.models).await;
    let status = admin.status().await.unwrap();
    assert!(status.iter().all(|s| s.last_error.is_none() && s.lag == 0), "{status:#?}");
    assert_verified(&running.models).await;
    eventually("all pushes", async || bench.broadcast.positions() == told(&bench.log)).await;
}

async fn a_log_that_fails_for_a_while_is_waited_for(backend: Backend) {
    let bench = Bench::new(backend);
    let errors = Arc::new(Errors::default());
    let running = Running::new(bench.open_observed(errors.clone()).await);
    bench.log.broken.store(true, Ordering::SeqCst);
    let mut world = World::populated(2, 2);
    bench.log.write(world.take());
    eventually("an error", async || !errors.0.lock().unwrap().is_empty()).await;
    bench.log.broken.store(false, Ordering::SeqCst);
    bench.settle(&running.models).await;
    assert_verified(&running.models).await;
}

async fn a_database_that_fails_for_a_while_is_waited_for(backend: Backend) {
    let bench = Bench::new(backend);
    let errors = Arc::new(Errors::default());
    let running = Running::new(bench.open_observed(errors.clone()).await);
    let mut world = World::populated(2, 2);
    bench.log.write(world.take());
    bench.settle(&running.models).await;
    tables::execute(&bench, "ALTER TABLE unread_heads_v1 RENAME TO hidden").await;
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    eventually("an error", async || !errors.0.lock().unwrap().is_empty()).await;
    let written = tables::number(&bench, "SELECT COUNT(*) FROM messages").await;
    assert_eq!(written, 0, "nothing of the batch is in, not even what came before the failure");
    tables::execute(&bench, "ALTER TABLE hidden RENAME TO unread_heads_v1").await;
    bench.settle(&running.models).await;
    assert_verified(&running.models).await;
}

async fn a_runner_killed_anywhere_goes_on_as_if_nothing_had_been(backend: Backend) {
    let bench = Bench::new(backend);
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    for round in 1..=25_u64 {
        let running = bench.start().await;
        let applied = *running.models.applied().borrow();
        assert!(running.models.positions().wait_for(applied + round * 3, LIMIT).await);
        running.kill().await;
    }
    stop.cancel();
    talking.await.unwrap();
    let running = bench.start().await;
    bench.settle(&running.models).await;
    assert_verified(&running.models).await;
    eventually("all pushes", async || {
        let mut positions = bench.broadcast.positions();
        positions.sort_unstable();
        positions.dedup();
        // A reader's mark is not told once the reader has left.
        let reads = bench.log.all();
        let must = told(&bench.log)
            .into_iter()
            .filter(|p| reads[*p as usize - 1].event_type != "ReadCursorAdvanced");
        must.into_iter().all(|position| positions.binary_search(&position).is_ok())
    })
    .await;
}

async fn two_runners_on_one_database_apply_each_event_once(backend: Backend) {
    let bench = Bench::new(backend);
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    let (one, other) = (bench.start().await, bench.start().await);
    assert!(one.models.positions().wait_for(1_500, LIMIT).await);
    assert!(other.models.positions().wait_for(1_500, LIMIT).await);
    stop.cancel();
    talking.await.unwrap();
    bench.settle(&one.models).await;
    bench.settle(&other.models).await;
    assert_verified(&one.models).await;
}

async fn one_far_behind_at_its_start_tells_nobody_about_the_past(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(2, 1);
    for n in 0..12_000 {
        world.send(world.room(0), world.member(n));
    }
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    world.send(world.room(0), world.member(0));
    bench.log.write(world.take());
    eventually("the new message", async || bench.broadcast.positions() == [bench.log.len()]).await;
}

async fn waiting_for_a_position_ends_in_time(backend: Backend) {
    let bench = Bench::new(backend);
    let running = bench.start().await;
    assert!(running.models.positions().wait_for(0, Duration::ZERO).await);
    assert!(!running.models.positions().wait_for(1, Duration::from_millis(20)).await);
}

on_each_database! {
    subscribers_are_told_in_log_order_with_the_names_of_now,
    a_reader_is_told_what_is_left,
    what_is_pushed_can_be_read_at_once,
    a_refused_broadcast_is_repeated_without_a_hole,
    an_event_that_cannot_be_read_stops_the_projections_and_is_never_skipped,
    a_log_that_fails_for_a_while_is_waited_for,
    a_database_that_fails_for_a_while_is_waited_for,
    a_runner_killed_anywhere_goes_on_as_if_nothing_had_been,
    two_runners_on_one_database_apply_each_event_once,
    one_far_behind_at_its_start_tells_nobody_about_the_past,
    waiting_for_a_position_ends_in_time,
}
