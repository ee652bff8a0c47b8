//! Snapshots: written when due, in the append itself; used when they fit; ignored when they do not.

use crate::common::{Fault, World, member, within, world::one_shard};
use futures_util::future::join_all;
use verbatim_application::{bus::Limits, codec::Streamed, ports::Snapshot};
use verbatim_domain::RoomId;

fn eager() -> Limits {
    Limits { snapshot_every: 1, ..one_shard() }
}

/// A room of 101 events with a snapshot after the last one.
async fn with_snapshot() -> (World, RoomId, Snapshot) {
    let world = World::new();
    let node = world.node(eager());
    let room = node.room_of(&[member(1)]).await;
    assert_eq!(world.log.snapshot(room.stream()), None, "none is due after one event");
    let sends: Vec<_> = (0..100).map(|_| node.send(member(1), room, "hello").wait()).collect();
    for answer in within(join_all(sends)).await {
        answer.expect("it is sent");
    }
    let snapshot = world.log.snapshot(room.stream()).expect("one is due");
    assert_eq!(snapshot.sequence, 101);
    node.stop().await;
    (world, room, snapshot)
}

/// What a new node takes for the room's last number, and how it goes on.
async fn last_seq(world: &World, room: RoomId) -> u64 {
    let node = world.node(one_shard());
    within(node.app.admit(member(1), room)).await.expect("it is in")
}

#[tokio::test]
async fn a_snapshot_spares_the_events_before_it() {
    let (world, room, snapshot) = with_snapshot().await;
    // A snapshot that lies shows that it is what was read.
    let payload = snapshot.payload.replace("\"last_seq\":100", "\"last_seq\":4100");
    assert_ne!(payload, snapshot.payload);
    world.log.put_snapshot(room.stream(), Snapshot { payload, ..snapshot });
    assert_eq!(last_seq(&world, room).await, 4100);
}

#[tokio::test]
async fn events_after_a_snapshot_are_added_to_it() {
    let (world, room, _) = with_snapshot().await;
    let node = world.node(one_shard());
    assert_eq!(node.say(member(1), room, "after").await, 101);
    assert_eq!(last_seq(&world, room).await, 101);
    world.log.check();
}

#[tokio::test]
async fn a_snapshot_that_does_not_fit_is_ignored() {
    let (world, room, snapshot) = with_snapshot().await;
    let lying = snapshot.payload.replace("\"last_seq\":100", "\"last_seq\":4100");
    let of_version = |version: &str| lying.replace("\"version\":1", &format!("\"version\":{version}"));
    assert_ne!(of_version("2"), lying);
    let unfit = [
        (101, of_version("2")),
        (101, of_version("0")),
        (101, of_version("\"one\"")),
        (101, lying.replace("last_seq", "last")),
        (101, lying.replace("Room", "Rum")),
        (101, r#"{"version":1,"state":{"Email":{"claimed_by":null}}}"#.to_owned()),
        (101, String::new()),
        (101, "{".to_owned()),
        (101, "null".to_owned()),
        // Of events that are not there: the log was put back to an older state.
        (102, lying.clone()),
        (9_999, lying.clone()),
        (u64::MAX, lying.clone()),
    ];
    for (sequence, payload) in unfit {
        world.log.put_snapshot(room.stream(), Snapshot { sequence, payload: payload.clone() });
        assert_eq!(last_seq(&world, room).await, 100, "{sequence} {payload}");
    }
}

#[tokio::test]
async fn a_snapshot_is_not_taken_again_before_it_is_due() {
    let (world, room, snapshot) = with_snapshot().await;
    let node = world.node(eager());
    node.say(member(1), room, "one more").await;
    assert_eq!(world.log.snapshot(room.stream()), Some(snapshot.clone()));
    let sends: Vec<_> = (0..100).map(|_| node.send(member(1), room, "hello").wait()).collect();
    within(join_all(sends)).await;
    let next = world.log.snapshot(room.stream()).expect("there is one");
    assert!(next.sequence > snapshot.sequence);
}

#[tokio::test]
async fn a_failed_append_leaves_no_snapshot() {
    let world = World::new();
    let node = world.node(eager());
    let room = node.room_of(&[member(1)]).await;
    world.log.fail_next(Fault::Unavailable);
    let sends: Vec<_> = (0..100).map(|_| node.send(member(1), room, "lost").wait()).collect();
    within(join_all(sends)).await;
    assert_eq!(world.log.snapshot(room.stream()), None);
    let sends: Vec<_> = (0..100).map(|_| node.send(member(1), room, "hello").wait()).collect();
    within(join_all(sends)).await;
    assert_eq!(world.log.snapshot(room.stream()).expect("one is due").sequence, 101);
}

#[tokio::test]
async fn a_position_is_right_also_when_all_comes_from_a_snapshot() {
    let (world, room, _) = with_snapshot().await;
    world.log.freeze_hint(true);
    let node = world.node(one_shard());
    let held = within(node.app.join_room(member(1), room, verbatim_application::Context::default())).await;
    let held = held.expect("it is in");
    assert!(!held.value.changed);
    assert_eq!(held.position, world.log.events().len() as u64);
}
