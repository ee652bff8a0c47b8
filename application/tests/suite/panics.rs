//! A bug that panics costs those who met it an answer, and nobody else.

use crate::common::{Fault, Tally, World, member, within};
use verbatim_application::ErrorClass;

#[tokio::test]
async fn a_panic_in_a_batch_does_not_end_the_service() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    for _ in 0..3 {
        world.log.fail_next(Fault::Panic);
        let error = within(node.send(member(1), room, "lost").wait()).await.expect_err("it panicked");
        assert_eq!((error.class, error.code), (ErrorClass::Unavailable, "unavailable"));
    }
    assert_eq!(Tally::of(&node.tally.panicked), 3, "somebody is told");
    assert_eq!(node.say(member(1), room, "goes on").await, 1);
    world.log.check();
    node.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_look_harms_no_other_in_its_batch() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.gate.close();
    let arrivals = world.log.gate.arrived();
    let held = node.send(member(1), room, "held");
    world.log.gate.nth_arrival(arrivals + 1).await;
    let app = node.app.clone();
    let bad = tokio::spawn(async move { app.bus.room::<u64>(room, |_, _| panic!("asked for")).await });
    tokio::task::yield_now().await;
    let app = node.app.clone();
    let good = tokio::spawn(async move { app.bus.room(room, |room, _| Ok(room.last_seq())).await });
    tokio::task::yield_now().await;
    world.log.gate.open();
    within(held.wait()).await.expect("it is sent");
    let error = within(bad).await.expect("the caller did not panic").expect_err("the look did");
    assert_eq!(error.class, ErrorClass::Unavailable);
    assert_eq!(within(good).await.expect("it ran").expect("it is seen"), 1);
    assert_eq!(Tally::of(&node.tally.panicked), 1);
}

#[tokio::test]
async fn what_waits_behind_a_panic_is_done() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.gate.close();
    world.log.fail_next(Fault::Panic);
    let arrivals = world.log.gate.arrived();
    let lost = node.send(member(1), room, "lost");
    world.log.gate.nth_arrival(arrivals + 1).await;
    let behind: Vec<_> = (0..5).map(|_| node.send(member(1), room, "behind")).collect();
    world.log.gate.open();
    within(lost.wait()).await.expect_err("it panicked");
    for (pending, seq) in behind.into_iter().zip(1..) {
        assert_eq!(within(pending.wait()).await.expect("it is sent").value.seq, seq);
    }
}
