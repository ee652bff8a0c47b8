//! The cache of aggregates is bounded by weight, and whatever falls out of it is read again.

use crate::common::{Fault, World, member, within, world::one_shard};
use verbatim_application::{
    bus::Limits,
    codec::{Event, Streamed},
};
use verbatim_domain::{RoomId, Timestamp, room::RoomEvent};

#[tokio::test]
async fn what_is_known_is_not_read_again() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    for _ in 0..20 {
        node.say(member(1), room, "hello").await;
    }
    assert_eq!(world.log.loads(room.stream()), 0, "not even once: it was opened here");
}

#[tokio::test]
async fn the_least_recently_used_falls_out_first() {
    let world = World::new();
    // A room of one member weighs 9: two fit, three do not.
    let node = world.node(Limits { cache_weight: 20, ..one_shard() });
    let (one, two) = (node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await);
    node.say(member(1), one, "used").await;
    let three = node.room_of(&[member(1)]).await;
    for room in [one, three] {
        node.say(member(1), room, "known").await;
        assert_eq!(world.log.loads(room.stream()), 0);
    }
    assert_eq!(node.say(member(1), two, "read again").await, 1);
    assert!(world.log.loads(two.stream()) > 0);
    world.log.check();
}

#[tokio::test]
async fn a_room_that_grows_weighs_more() {
    let world = World::new();
    let node = world.node(Limits { cache_weight: 40, ..one_shard() });
    let (small, large) = (node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await);
    node.say(member(1), small, "known").await;
    assert_eq!(world.log.loads(small.stream()), 0, "both fit");
    for n in 2..=25 {
        let join = node.app.join_room(member(n), large, verbatim_application::Context::default());
        within(join).await.expect("they join");
    }
    node.say(member(1), small, "pushed out").await;
    assert!(world.log.loads(small.stream()) > 0);
}

#[tokio::test]
async fn one_that_is_larger_than_the_cache_still_works() {
    let world = World::new();
    let node = world.node(Limits { cache_weight: 1, ..one_shard() });
    let room = node.room_of(&[member(1), member(2)]).await;
    for n in 1..=5 {
        assert_eq!(node.say(member(2), room, "hello").await, n);
    }
    within(node.app.admit(member(1), room)).await.expect("it is in");
    world.log.check();
}

#[tokio::test]
async fn what_does_not_exist_is_not_kept() {
    let world = World::new();
    let node = world.node(Limits { cache_weight: 12, ..one_shard() });
    let room = node.room_of(&[member(1)]).await;
    for n in 0..20 {
        let nowhere = RoomId::from_uuid(uuid::Uuid::from_u128(400 + n));
        within(node.send(member(1), nowhere, "?").wait()).await.expect_err("there is none");
        within(node.app.admit(member(1), nowhere)).await.expect_err("there is none");
    }
    node.say(member(1), room, "still known").await;
    assert_eq!(world.log.loads(room.stream()), 0, "asking for what is not there pushes nothing out");
}

#[tokio::test]
async fn the_bound_holds_while_the_log_fails() {
    let world = World::new();
    let node = world.node(Limits { cache_weight: 30, ..one_shard() });
    let opened = |room_id: RoomId| {
        let name = verbatim_domain::text::RoomName::parse("kitchen").expect("a name");
        RoomEvent::GroupRoomCreated { room_id, name, creator: member(1), at: Timestamp::UNIX_EPOCH }
    };
    let rooms: Vec<_> = (0..10).map(|n| RoomId::from_uuid(uuid::Uuid::from_u128(700 + n))).collect();
    for room in &rooms {
        world.log.write(room.stream(), &[Event::Room(opened(*room))]);
    }
    for room in &rooms {
        world.log.fail_next(Fault::Unavailable);
        // In one batch: one that fails with the log, and one that is refused after it was read.
        let lost = node.send(member(1), rooms[0], "lost");
        let refused = node.send(member(2), *room, "refused");
        within(lost.wait()).await.expect_err("no disk");
        within(refused.wait()).await.expect_err("an outsider");
    }
    // Room 5 was read in there; only the last few may still be known.
    let loads = world.log.loads(rooms[5].stream());
    node.say(member(1), rooms[5], "read again").await;
    assert!(world.log.loads(rooms[5].stream()) > loads);
}
