//! Group commit: what waits goes in together, in order, and nobody is answered before it is in.

use crate::common::{Fault, Node, Tally, World, body, member, within, world::one_shard};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use verbatim_application::{
    Context, ErrorClass,
    bus::Limits,
    codec::{Event, Streamed},
};
use verbatim_domain::{RoomId, room::RoomEvent};

/// The bodies of a room in log order, with their numbers checked.
fn bodies(world: &World, room: RoomId) -> Vec<String> {
    world.log.check();
    let sent = world.log.stream(room.stream()).into_iter().filter_map(|event| match event {
        Event::Room(RoomEvent::MessageSent { seq, body, .. }) => Some((seq, body.to_string())),
        _ => None,
    });
    let (numbers, bodies): (Vec<u64>, Vec<String>) = sent.unzip();
    assert_eq!(
        numbers,
        (1..=numbers.len() as u64).collect::<Vec<_>>(),
        "no number is left out or used twice"
    );
    bodies
}

/// Holds the log while the next append is at its gate, with one message of `sender`.
async fn hold(world: &World, node: &Node, room: RoomId) -> verbatim_application::commands::PendingSend {
    world.log.gate.close();
    let arrivals = world.log.gate.arrived();
    let first = node.send(member(1), room, "first");
    world.log.gate.nth_arrival(arrivals + 1).await;
    first
}

#[tokio::test]
async fn all_that_waits_goes_in_with_one_append() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let before = world.log.appends().len();
    let first = hold(&world, &node, room).await;
    let waiting: Vec<_> = (0..100).map(|n| node.send(member(1), room, &format!("{n}"))).collect();
    world.log.gate.open();
    within(first.wait()).await.expect("it is sent");
    let answers = within(join_all(waiting.into_iter().map(|pending| pending.wait()))).await;
    assert_eq!(world.log.appends()[before..], [1, 100]);
    for (answer, seq) in answers.into_iter().zip(2..) {
        let done = answer.expect("it is sent");
        assert_eq!(done.value.seq, seq);
        assert_eq!(done.position, world.log.events()[0].position + seq, "the room's opening is event 1");
    }
}

#[tokio::test]
async fn a_batch_is_no_larger_than_its_bound() {
    let world = World::new();
    let node = world.node(Limits { batch: 10, ..one_shard() });
    let room = node.room_of(&[member(1)]).await;
    let before = world.log.appends().len();
    let first = hold(&world, &node, room).await;
    let waiting: Vec<_> = (0..25).map(|n| node.send(member(1), room, &format!("{n}"))).collect();
    world.log.gate.open();
    within(first.wait()).await.expect("it is sent");
    within(join_all(waiting.into_iter().map(|pending| pending.wait()))).await;
    assert_eq!(world.log.appends()[before..], [1, 10, 10, 5]);
}

#[tokio::test]
async fn what_one_sender_says_keeps_its_order() {
    let (world, node) = World::with_node();
    let rooms = [node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await];
    let pending: Vec<_> = (0..400).map(|n| node.send(member(1), rooms[n % 2], &n.to_string())).collect();
    for answer in within(join_all(pending.into_iter().map(|pending| pending.wait()))).await {
        answer.expect("it is sent");
    }
    for (offset, room) in rooms.into_iter().enumerate() {
        let said = (offset..400).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(bodies(&world, room), said);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_members_at_once_leave_no_gap() {
    let world = World::new();
    let node = Arc::new(world.node(Limits::default()));
    let members: Vec<_> = (1..=20).map(member).collect();
    let room = node.room_of(&members).await;
    let senders = members.iter().map(|sender| {
        let (node, sender) = (node.clone(), *sender);
        tokio::spawn(async move {
            let mut numbers = Vec::new();
            for n in 0..25 {
                numbers.push(node.say(sender, room, &format!("{sender} {n}")).await);
            }
            numbers
        })
    });
    let mut numbers = Vec::new();
    for of_one in within(join_all(senders)).await {
        let of_one = of_one.expect("the sender is done");
        assert!(of_one.is_sorted(), "one's own messages are in one's own order");
        numbers.extend(of_one);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    assert_eq!(bodies(&world, room).len(), 500);
}

#[tokio::test]
async fn nobody_is_answered_before_the_append() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.gate.close();
    let arrivals = world.log.gate.arrived();
    let mut pending = Box::pin(node.send(member(1), room, "hello").wait());
    tokio::select! {
        biased;
        _ = &mut pending => panic!("it was answered before it was in the log"),
        () = world.log.gate.nth_arrival(arrivals + 1) => {}
    }
    assert!(bodies(&world, room).is_empty());
    world.log.gate.open();
    within(pending).await.expect("it is sent");
    assert_eq!(bodies(&world, room), ["hello"]);
}

#[tokio::test]
async fn a_refusal_that_stands_on_an_uncommitted_event_waits_for_it() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    let first = hold(&world, &node, room).await;
    let (app, context) = (node.app.clone(), Context::default());
    // Both are decided in one batch: member 2 leaves, and so may not send.
    let leave = tokio::spawn(async move { app.leave_room(member(2), room, context).await });
    tokio::task::yield_now().await;
    let mut refused = Box::pin(node.send(member(2), room, "too late").wait());
    let second = world.log.gate.arrived() + 1;
    world.log.gate.pass_one();
    tokio::select! {
        biased;
        _ = &mut refused => panic!("it was refused before the leaving was in the log"),
        () = world.log.gate.nth_arrival(second) => {}
    }
    world.log.gate.open();
    within(leave).await.expect("it ran").expect("it left");
    assert_eq!(within(refused).await.expect_err("it left").code, "not_a_member");
    within(first.wait()).await.expect("it is sent");
}

#[tokio::test]
async fn a_refusal_is_void_when_what_it_stands_on_is_not_committed() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    let first = hold(&world, &node, room).await;
    let (app, context) = (node.app.clone(), Context::default());
    let leave = tokio::spawn(async move { app.leave_room(member(2), room, context).await });
    tokio::task::yield_now().await;
    let refused = node.send(member(2), room, "not too late");
    world.log.gate.pass_one();
    within(first.wait()).await.expect("it is sent");
    world.log.fail_next(Fault::Unavailable);
    world.log.gate.open();
    assert_eq!(within(leave).await.expect("it ran").expect_err("no disk").class, ErrorClass::Unavailable);
    // It did not leave: "not a member" would be a lie.
    assert_eq!(within(refused.wait()).await.expect_err("no disk").class, ErrorClass::Unavailable);
    assert_eq!(node.say(member(2), room, "still here").await, 2);
}

#[tokio::test]
async fn who_looks_sees_durable_state_only() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let first = hold(&world, &node, room).await;
    let app = node.app.clone();
    let look = tokio::spawn(async move { app.bus.room(room, |room, _| Ok(room.last_seq())).await });
    tokio::task::yield_now().await;
    world.log.fail_next(Fault::UnknownLost);
    world.log.gate.open();
    within(first.wait()).await.expect_err("the connection died");
    let seen = within(look).await.expect("it ran").expect("it is seen");
    assert_eq!(seen, 0, "what was decided meanwhile came to nothing");
    let look = node.app.bus.room(room, |room, _| Ok(room.last_seq()));
    let (sent, seen) = tokio::join!(biased; node.say(member(1), room, "second"), within(look));
    assert_eq!((sent, seen.expect("it is seen")), (1, 1), "what went in before the look is in it");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_goes_on() {
    let world = World::new();
    let node = world.node(Limits { queue: 8, ..one_shard() });
    let room = node.room_of(&[member(1)]).await;
    let first = hold(&world, &node, room).await;
    let waiting: Vec<_> = (0..8).map(|_| node.send(member(1), room, "waits")).collect();
    for _ in 0..3 {
        let refused = node.app.begin_send(member(1), room, body("no"), Context::default());
        let error = refused.expect_err("the queue is full");
        assert_eq!((error.class, error.code), (ErrorClass::Overloaded, "overloaded"));
        assert!(error.retry_after.is_some());
    }
    assert_eq!(node.app.account(member(1)).await.expect_err("full for all").class, ErrorClass::Overloaded);
    assert_eq!(Tally::of(&node.tally.overloaded), 4);
    world.log.gate.open();
    within(first.wait()).await.expect("it is sent");
    for pending in waiting {
        within(pending.wait()).await.expect("what was accepted is done");
    }
    assert_eq!(node.say(member(1), room, "again").await, 10);
}

#[tokio::test]
async fn who_can_wait_waits_for_room_in_the_queue() {
    let world = World::new();
    let node = world.node(Limits { queue: 2, batch: 1, ..one_shard() });
    let room = node.room_of(&[member(1)]).await;
    let first = hold(&world, &node, room).await;
    let queued: Vec<_> = (0..2).map(|_| node.send(member(1), room, "queued")).collect();
    let send = |text: &str, limit| {
        node.app.begin_send_within(member(1), room, body(text), Context::default(), limit)
    };
    let given_up = within(send("given up", Duration::ZERO)).await.expect_err("the queue stays full");
    assert_eq!(given_up.class, ErrorClass::Overloaded);
    let mut patient = Box::pin(send("patient", Duration::from_secs(60)));
    tokio::select! {
        biased;
        _ = &mut patient => panic!("there is no room yet"),
        () = tokio::task::yield_now() => world.log.gate.open(),
    }
    let patient = within(patient).await.expect("there is room now");
    within(patient.wait()).await.expect("it is sent");
    for pending in std::iter::once(first).chain(queued) {
        within(pending.wait()).await.expect("it is sent");
    }
    assert_eq!(bodies(&world, room), ["first", "queued", "queued", "patient"]);
}

#[tokio::test]
async fn stopping_answers_what_was_accepted() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let first = hold(&world, &node, room).await;
    let waiting: Vec<_> = (0..20).map(|_| node.send(member(1), room, "waits")).collect();
    world.log.gate.open();
    node.stop().await;
    for pending in std::iter::once(first).chain(waiting) {
        within(pending.wait()).await.expect("what was accepted is done");
    }
    assert_eq!(bodies(&world, room).len(), 21);
}

#[tokio::test]
async fn a_caller_that_goes_away_changes_nothing() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let first = hold(&world, &node, room).await;
    drop(node.send(member(1), room, "gone"));
    let last = node.send(member(1), room, "last");
    drop(first);
    world.log.gate.open();
    assert_eq!(within(last.wait()).await.expect("it is sent").value.seq, 3);
    assert_eq!(bodies(&world, room), ["first", "gone", "last"]);
}
