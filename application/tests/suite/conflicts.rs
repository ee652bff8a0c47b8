//! Two nodes, one log: whoever loses a race reads again and tries again, and nobody else pays for it.

use crate::common::{Fault, Tally, World, member, within, world::one_shard};
use futures_util::future::join_all;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;
use verbatim_application::{
    Context, ErrorClass,
    bus::{CONFLICT_RETRIES, Limits},
    codec::{Event, Streamed},
    commands::PendingSends,
};
use verbatim_domain::{MessageId, RoomId, Timestamp, room::RoomEvent, text::MessageBody};

/// Says something in a room as another node would, whatever its state.
fn rival(log: &crate::common::FakeLog, room: RoomId, text: &str) {
    let said = log.stream(room.stream());
    let last_seq = said.iter().rev().find_map(|event| match event {
        Event::Room(event) => Some(event.last_seq()),
        _ => None,
    });
    let event = RoomEvent::MessageSent {
        room_id: room,
        message_id: MessageId::from_uuid(Uuid::from_u128(said.len() as u128)),
        seq: last_seq.unwrap_or(0) + 1,
        sender_id: member(1),
        body: MessageBody::parse(text).expect("a message"),
        sent_at: Timestamp::UNIX_EPOCH,
    };
    log.write(room.stream(), &[Event::Room(event)]);
}

#[tokio::test]
async fn who_loses_a_race_reads_again_and_goes_on() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    rival(&world.log, room, "theirs");
    assert_eq!(node.say(member(1), room, "ours").await, 2);
    assert_eq!(Tally::of(&node.tally.conflicted), 1);
    world.log.check();
}

#[tokio::test]
async fn a_conflict_that_left_no_trace_is_tried_again() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.fail_next(Fault::Conflict);
    world.log.fail_next(Fault::Conflict);
    assert_eq!(node.say(member(1), room, "third time lucky").await, 1);
    assert_eq!(Tally::of(&node.tally.conflicted), 2);
}

#[tokio::test]
async fn who_always_loses_hears_conflict_and_the_next_goes_on() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let arrivals = world.log.gate.arrived();
    world.log.always_conflict(true);
    let error = within(node.send(member(1), room, "never").wait()).await.expect_err("it always loses");
    assert_eq!((error.class, error.code), (ErrorClass::Conflict, "concurrent_change"));
    assert_eq!(world.log.gate.arrived() - arrivals, CONFLICT_RETRIES + 1, "it gives up at last");
    world.log.always_conflict(false);
    assert_eq!(node.say(member(1), room, "now").await, 1);
}

/// A rival that is first in this room whenever nobody makes it wait.
fn always_first(world: &World, room: RoomId) {
    world.log.before_append(move |log, events| {
        if events.iter().any(|event| event.stream == room.stream()) {
            rival(log, room, "theirs");
        }
    });
}

#[tokio::test]
async fn who_keeps_losing_takes_a_turn_and_then_at_once() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.give_turns();
    always_first(&world, room);
    assert_eq!(node.say(member(1), room, "after two of theirs").await, 3);
    let lost = Tally::of(&node.tally.conflicted);
    assert_eq!((lost, world.log.turns()), (2, 1));
    let loads = world.log.loads(room.stream());
    for seq in 4..10 {
        assert_eq!(node.say(member(1), room, "in a turn").await, seq);
    }
    assert_eq!((Tally::of(&node.tally.conflicted), world.log.turns()), (2, 7));
    assert_eq!(world.log.loads(room.stream()) - loads, 6, "each turn reads on from where it was");
    let calm = node.room_of(&[member(1)]).await;
    node.say(member(1), calm, "nobody else is here").await;
    assert_eq!(world.log.turns(), 7);
    // In a turn it is seen what others have written before it.
    rival(&world.log, room, "theirs");
    assert_eq!(node.say(member(1), room, "after it").await, 11);
    assert_eq!(Tally::of(&node.tally.conflicted), 2);
    world.log.check();
}

#[tokio::test]
async fn without_a_turn_it_is_tried_all_the_same() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.give_turns();
    world.log.fail_turns(true);
    for _ in 0..3 {
        world.log.fail_next(Fault::Conflict);
    }
    assert_eq!(node.say(member(1), room, "the fourth time").await, 1);
    assert_eq!(world.log.turns(), 0);
}

#[tokio::test]
async fn a_room_that_is_fought_over_holds_nobody_else_up() {
    let (world, node) = World::with_node();
    let hot = node.room_of(&[member(1)]).await;
    let calm = node.room_of(&[member(1)]).await;
    always_first(&world, hot);
    let pending: Vec<_> =
        (0..10).map(|n| node.send(member(1), if n % 2 == 0 { hot } else { calm }, &n.to_string())).collect();
    let answers = within(join_all(pending.into_iter().map(|pending| pending.wait()))).await;
    for (n, answer) in answers.into_iter().enumerate() {
        match n % 2 {
            0 => assert_eq!(answer.expect_err("the rival is always first").code, "concurrent_change"),
            _ => assert_eq!(answer.expect("nobody else is in this room").value.seq, n.div_ceil(2) as u64),
        }
    }
    world.log.check();
}

#[tokio::test]
async fn splitting_a_batch_keeps_the_order_within_each_room() {
    let (world, node) = World::with_node();
    let rooms = [node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await];
    rival(&world.log, rooms[0], "theirs");
    // Room 1 is calm itself, but the second intent ties it to room 0.
    let first = node.send(member(1), rooms[1], "a");
    let both = |texts: [&str; 2]| -> PendingSends {
        let outgoing = rooms.iter().zip(texts).map(|(room, text)| verbatim_application::commands::Outgoing {
            room_id: *room,
            body: MessageBody::parse(text).expect("a message"),
            idempotency_key: None,
        });
        node.app.begin_send_all(member(1), outgoing.collect(), Context::default()).expect("it is queued")
    };
    let tied = both(["x", "b"]);
    let last = node.send(member(1), rooms[1], "c");
    assert_eq!(within(first.wait()).await.expect("it is sent").value.seq, 1);
    let tied: Vec<_> =
        within(tied.wait()).await.expect("both are sent").iter().map(|d| d.value.seq).collect();
    assert_eq!(tied, [2, 2]);
    assert_eq!(within(last.wait()).await.expect("it is sent").value.seq, 3);
    world.log.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_write_into_one_room_and_nothing_is_lost_or_doubled() {
    let world = World::new();
    let nodes = [Arc::new(world.node(one_shard())), Arc::new(world.node(Limits::default()))];
    let members: Vec<_> = (1..=10).map(member).collect();
    let room = nodes[0].room_of(&members).await;
    let senders = members.into_iter().enumerate().map(|(n, sender)| {
        let node = nodes[n % 2].clone();
        tokio::spawn(async move {
            let mut said = Vec::new();
            for n in 0..20 {
                // Losing nine times in a row is allowed, and is told; then nothing was sent.
                loop {
                    let text = format!("{sender} {n}");
                    match within(node.send(sender, room, &text).wait()).await {
                        Ok(done) => break said.push((done.value.seq, text)),
                        Err(error) => assert_eq!(error.code, "concurrent_change"),
                    }
                }
            }
            said
        })
    });
    let mut said = HashMap::new();
    for of_one in within(join_all(senders)).await {
        for (seq, text) in of_one.expect("the sender is done") {
            assert!(said.insert(seq, text).is_none(), "no number is given twice");
        }
    }
    world.log.check();
    let mut count = 0;
    for event in world.log.stream(room.stream()) {
        if let Event::Room(RoomEvent::MessageSent { seq, body, .. }) = event {
            count += 1;
            assert_eq!(seq, count);
            assert_eq!(said.get(&seq).map(String::as_str), Some(body.as_str()), "each is what was answered");
        }
    }
    assert_eq!(count, 200);
}

#[tokio::test]
async fn both_nodes_open_one_direct_room() {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    let mut ids = Vec::new();
    for n in 0..2 {
        let email = verbatim_domain::text::Email::parse(&format!("{n}@example.org")).expect("an address");
        let name = verbatim_domain::text::DisplayName::parse("N").expect("a name");
        let done = within(here.app.register_author(email, name, Context::default())).await;
        ids.push(done.expect("it is registered").value.member_id);
    }
    let (one, other) = tokio::join!(
        within(here.app.open_direct_room(ids[0], ids[1], Context::default())),
        within(there.app.open_direct_room(ids[1], ids[0], Context::default())),
    );
    let (one, other) = (one.expect("it opens").value, other.expect("it opens").value);
    assert_eq!(one, other);
    assert_eq!(world.log.stream(one.room_id.stream()).len(), 1);
}
