//! What a node remembers is old as soon as another node writes. Nothing is refused, claimed or shown for long on the
//! strength of old memory.

use crate::common::{Node, World, member, within, world::one_shard};
use std::time::Duration;
use verbatim_application::{
    Caller, Context,
    bus::Limits,
    codec::Streamed,
    commands::{ProfileChange, Registration},
};
use verbatim_domain::{
    EmailId, RoomId,
    member::MemberRole,
    text::{DisplayName, Email, Password},
};

/// Two nodes that both remember a room, with member 1 in it.
async fn two_nodes() -> (World, Node, Node, RoomId) {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    let room = here.room_of(&[member(1)]).await;
    within(there.app.admit(member(1), room)).await.expect("it is in");
    (world, here, there, room)
}

#[tokio::test]
async fn who_joined_elsewhere_may_send_here_at_once() {
    let (_world, here, there, room) = two_nodes().await;
    within(there.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    assert_eq!(here.say(member(2), room, "hello").await, 1);
}

#[tokio::test]
async fn who_joined_elsewhere_may_read_here_at_once() {
    let (_world, here, there, room) = two_nodes().await;
    within(there.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    within(here.app.admit(member(2), room)).await.expect("it is in");
}

#[tokio::test]
async fn who_left_elsewhere_may_not_send_here() {
    let (_world, here, there, room) = two_nodes().await;
    within(here.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    within(there.app.leave_room(member(2), room, Context::default())).await.expect("it left");
    let sent = within(here.send(member(2), room, "still here?").wait()).await;
    assert_eq!(sent.expect_err("it left").code, "not_a_member");
}

#[tokio::test]
async fn who_left_elsewhere_may_not_read_here_for_long() {
    let world = World::new();
    let here = world.node(Limits { trust: Duration::ZERO, ..one_shard() });
    let there = world.node(one_shard());
    let room = here.room_of(&[member(1), member(2)]).await;
    within(there.app.leave_room(member(2), room, Context::default())).await.expect("it left");
    assert_eq!(within(here.app.admit(member(2), room)).await.expect_err("it left").code, "not_a_member");
}

#[tokio::test]
async fn a_look_at_trusted_memory_reads_nothing() {
    let world = World::new();
    let node = world.node(Limits { trust: Duration::from_secs(3_600), ..one_shard() });
    let room = node.room_of(&[member(1)]).await;
    let loads = world.log.loads(room.stream());
    for _ in 0..10 {
        within(node.app.admit(member(1), room)).await.expect("it is in");
    }
    assert_eq!(world.log.loads(room.stream()), loads);
}

#[tokio::test]
async fn it_holds_already_is_not_said_from_memory() {
    let (_world, here, there, room) = two_nodes().await;
    within(here.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    within(there.app.leave_room(member(2), room, Context::default())).await.expect("it left");
    // Here it is still remembered as in.
    let joined = within(here.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    assert!(joined.value.changed);
    within(there.app.admit(member(2), room)).await.expect("it is in");
}

#[tokio::test]
async fn it_holds_already_names_a_position_that_includes_it() {
    let (world, here, there, room) = two_nodes().await;
    world.log.freeze_hint(true);
    let first = within(there.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    let again = within(here.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    assert!(!again.value.changed);
    assert!(again.position >= first.position, "a read that waits for it sees the member in");
}

#[tokio::test]
async fn messages_sent_elsewhere_can_be_marked_read_here() {
    let (_world, here, there, room) = two_nodes().await;
    for n in 1..=3 {
        assert_eq!(there.say(member(1), room, "hello").await, n);
    }
    within(here.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    there.say(member(1), room, "hello").await;
    let read = within(here.app.mark_read(member(2), room, 4, Context::default())).await.expect("it is read");
    assert_eq!((read.value.read_seq, read.value.unread), (4, 0));
}

#[tokio::test]
async fn messages_sent_elsewhere_can_be_deleted_here() {
    let (world, here, there, room) = two_nodes().await;
    there.say(member(1), room, "oops").await;
    within(here.app.delete_message(member(1), room, 1, Context::default())).await.expect("it is gone");
    world.log.check();
}

fn ann() -> Registration {
    Registration {
        email: Email::parse("ann@example.org").expect("an address"),
        password: Password::parse("correct horse").expect("a password"),
        display_name: DisplayName::parse("Ann").expect("a name"),
    }
}

#[tokio::test]
async fn who_registered_elsewhere_can_log_in_here_at_once() {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    // This node has looked for the address, and remembers that nobody has it.
    let early = within(here.app.log_in("ann@example.org", "correct horse", None)).await;
    assert_eq!(early.expect_err("nobody has it").code, "wrong_credentials");
    within(there.app.register(ann(), Context::default())).await.expect("it is registered");
    within(here.app.log_in("ann@example.org", "correct horse", None)).await.expect("it is right");
    let id = EmailId::of("ann@example.org");
    assert!(within(here.app.bus.email_owner(id)).await.expect("it is read").is_some());
}

#[tokio::test]
async fn a_password_changed_elsewhere_counts_here_at_once() {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    let id = within(here.app.register(ann(), Context::default())).await.expect("it is registered");
    within(here.app.log_in("ann@example.org", "correct horse", None)).await.expect("it is right");
    let change = ProfileChange {
        password: Some(("correct horse".into(), Password::parse("battery staple").expect("a password"))),
        ..ProfileChange::default()
    };
    let caller =
        Caller { member_id: id.value.member_id, role: MemberRole::Member, session_id: uuid::Uuid::nil() };
    within(there.app.change_profile(caller, change, Context::default())).await.expect("it is changed");
    within(here.app.log_in("ann@example.org", "battery staple", None)).await.expect("it is right now");
    let old = within(here.app.log_in("ann@example.org", "correct horse", None)).await;
    assert_eq!(old.expect_err("it was changed").code, "wrong_credentials");
}

#[tokio::test]
async fn a_role_given_elsewhere_is_in_the_next_token() {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    within(here.app.register(ann(), Context::default())).await.expect("it is registered");
    let pair = within(here.app.log_in("ann@example.org", "correct horse", None)).await.expect("it is right");
    within(there.app.change_role("ann@example.org", MemberRole::Admin)).await.expect("it is given");
    let pair = within(here.app.refresh(&pair.refresh_token)).await.expect("it is rotated");
    assert_eq!(here.app.authenticate(&pair.access_token).expect("it is valid").role, MemberRole::Admin);
}

#[tokio::test]
async fn a_room_is_shown_as_it_is_elsewhere() {
    let (_world, here, there, room) = two_nodes().await;
    within(there.app.join_room(member(2), room, Context::default())).await.expect("it is in");
    there.say(member(2), room, "hello").await;
    let view = within(here.app.room(member(1), room)).await.expect("it is there");
    assert_eq!((view.member_count, view.last_seq), (2, 1));
}

#[tokio::test]
async fn looks_at_one_unknown_room_share_one_read() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.gate.close();
    let arrivals = world.log.gate.arrived();
    let held = node.send(member(1), room, "held");
    world.log.gate.nth_arrival(arrivals + 1).await;
    let nowhere = RoomId::from_uuid(uuid::Uuid::from_u128(404));
    let looks: Vec<_> = (0..50)
        .map(|_| {
            let app = node.app.clone();
            tokio::spawn(async move { app.admit(member(1), nowhere).await })
        })
        .collect();
    tokio::task::yield_now().await;
    world.log.gate.open();
    within(held.wait()).await.expect("it is sent");
    for look in looks {
        let seen = within(look).await.expect("it ran");
        assert_eq!(seen.expect_err("there is none").code, "room_not_found");
    }
    assert!(world.log.loads(nowhere.stream()) <= 2, "fifty looks do not cost fifty reads");
}
