//! One key, one effect: in a batch, later, on another node, after all has changed; and forever.

use crate::common::{Fault, World, body, key, member, within, world::one_shard};
use futures_util::future::join_all;
use std::sync::Arc;
use verbatim_application::{Context, ErrorClass, bus::Limits, codec::Streamed, commands::Registration};
use verbatim_domain::text::{DisplayName, Email, Password, RoomName};

#[tokio::test]
async fn the_same_again_gives_the_first_result() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let first = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it is sent");
    assert!(!first.repeated);
    node.say(member(1), room, "between").await;
    let again = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it was sent");
    assert!(again.repeated);
    assert_eq!((again.value, again.position), (first.value, first.position));
    assert_eq!(node.say(member(1), room, "next").await, 3);
}

#[tokio::test]
async fn other_content_under_a_used_key_is_a_conflict() {
    let (_world, node) = World::with_node();
    let (room, elsewhere) = (node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await);
    within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it is sent");
    for pending in
        [node.send_once(member(1), room, "goodbye", "k"), node.send_once(member(1), elsewhere, "hello", "k")]
    {
        let error = within(pending.wait()).await.expect_err("the key is used");
        assert_eq!((error.class, error.code), (ErrorClass::Conflict, "idempotency_key_reused"));
    }
    let name = RoomName::parse("hello").expect("a name");
    let other_command = within(node.app.create_room(member(1), name, key("k"))).await;
    assert_eq!(other_command.expect_err("the key is used").code, "idempotency_key_reused");
    assert_eq!(node.say(member(1), room, "next").await, 2);
}

#[tokio::test]
async fn keys_of_two_members_are_two_keys() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    let one = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it is sent");
    let other = within(node.send_once(member(2), room, "hi", "k").wait()).await.expect("it is sent");
    assert_eq!((one.value.seq, other.value.seq), (1, 2));
}

#[tokio::test]
async fn a_hundred_at_once_are_one() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let lookups = world.log.key_lookups();
    let pending: Vec<_> = (0..100).map(|_| node.send_once(member(1), room, "hello", "k")).collect();
    let answers = within(join_all(pending.into_iter().map(|pending| pending.wait()))).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("it is sent")).collect();
    assert_eq!(answers.iter().filter(|done| !done.repeated).count(), 1);
    for done in &answers {
        assert_eq!((&done.value, done.position), (&answers[0].value, answers[0].position));
    }
    assert_eq!(node.say(member(1), room, "next").await, 2);
    assert!(world.log.key_lookups() - lookups <= 2, "a hundred repeats do not cost a hundred look-ups");
}

#[tokio::test]
async fn within_one_batch_other_content_is_a_conflict_too() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let one = node.send_once(member(1), room, "hello", "k");
    let other = node.send_once(member(1), room, "goodbye", "k");
    assert_eq!(within(one.wait()).await.expect("it is sent").value.seq, 1);
    assert_eq!(within(other.wait()).await.expect_err("the key is used").code, "idempotency_key_reused");
}

#[tokio::test]
async fn a_repeat_within_a_batch_shares_the_fate_of_the_first() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.fail_next(Fault::Unavailable);
    let pending: Vec<_> = (0..3).map(|_| node.send_once(member(1), room, "hello", "k")).collect();
    for answer in within(join_all(pending.into_iter().map(|pending| pending.wait()))).await {
        assert_eq!(answer.expect_err("no disk").class, ErrorClass::Unavailable);
    }
    let done = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it is sent");
    assert!(!done.repeated);
}

#[tokio::test]
async fn a_refused_command_does_not_use_its_key_up() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    // All in one batch: member 2 is refused, comes in, and is heard. What follows keeps its place.
    let refused = node.send_once(member(2), room, "hello", "k");
    let app = node.app.clone();
    let join = tokio::spawn(async move { app.join_room(member(2), room, Context::default()).await });
    tokio::task::yield_now().await;
    let heard = node.send_once(member(2), room, "hello", "k");
    let next = node.send(member(2), room, "next");
    assert_eq!(within(refused.wait()).await.expect_err("an outsider").code, "not_a_member");
    within(join).await.expect("it ran").expect("it is in");
    assert_eq!(within(heard.wait()).await.expect("it is sent").value.seq, 1);
    assert_eq!(within(next.wait()).await.expect("it is sent").value.seq, 2);
}

#[tokio::test]
async fn another_node_knows_the_key_too() {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    let room = here.room_of(&[member(1)]).await;
    // Both nodes know the room, so nothing but the key can tell them.
    there.say(member(1), room, "warm").await;
    let first = within(here.send_once(member(1), room, "hello", "k").wait()).await.expect("it is sent");
    let again = within(there.send_once(member(1), room, "hello", "k").wait()).await.expect("it was sent");
    assert!(again.repeated);
    assert_eq!(again.value, first.value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_at_once_on_two_nodes_are_one() {
    let world = World::new();
    let nodes = [Arc::new(world.node(Limits::default())), Arc::new(world.node(Limits::default()))];
    let room = nodes[0].room_of(&[member(1)]).await;
    let sends = (0..100).map(|n| {
        let node = nodes[n % 2].clone();
        tokio::spawn(async move { within(node.send_once(member(1), room, "hello", "k").wait()).await })
    });
    let mut new = 0;
    for answer in within(join_all(sends)).await {
        let done = answer.expect("it ran").expect("it is sent");
        assert_eq!(done.value.seq, 1);
        new += usize::from(!done.repeated);
    }
    assert_eq!(new, 1);
    assert_eq!(world.log.stream(room.stream()).len(), 2);
    world.log.check();
}

#[tokio::test]
async fn a_key_is_good_after_the_member_has_left() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    let first = within(node.send_once(member(2), room, "bye", "k").wait()).await.expect("it is sent");
    within(node.app.leave_room(member(2), room, Context::default())).await.expect("it left");
    let again = within(node.send_once(member(2), room, "bye", "k").wait()).await.expect("it was sent");
    assert_eq!(again.value, first.value);
    let other = within(node.send_once(member(2), room, "bye", "other").wait()).await;
    assert_eq!(other.expect_err("it left").code, "not_a_member");
}

#[tokio::test]
async fn opening_a_room_twice_with_one_key_opens_one() {
    let (world, node) = World::with_node();
    let name = || RoomName::parse("kitchen").expect("a name");
    let first = within(node.app.create_room(member(1), name(), key("k"))).await.expect("it opens");
    let again = within(node.app.create_room(member(1), name(), key("k"))).await.expect("it is open");
    assert_eq!(again.value, first.value);
    assert!(again.repeated && !first.repeated);
    assert_eq!(world.log.events().len(), 1);
}

#[tokio::test]
async fn registering_twice_with_one_key_gives_one_account() {
    let (world, node) = World::with_node();
    let request = |name: &str| Registration {
        email: Email::parse("ann@example.org").expect("an address"),
        password: Password::parse("correct horse").expect("a password"),
        display_name: DisplayName::parse(name).expect("a name"),
    };
    let (first, again) = tokio::join!(
        within(node.app.register(request("Ann"), key("k"))),
        within(node.app.register(request("Ann"), key("k"))),
    );
    let (first, again) = (first.expect("it is registered"), again.expect("it is registered"));
    assert_eq!(first.value, again.value);
    assert_ne!(first.repeated, again.repeated);
    world.identity.asked();
    let later = within(node.app.register(request("Ann"), key("k"))).await.expect("it was registered");
    assert!(later.repeated);
    assert_eq!(world.identity.asked(), [] as [&str; 0], "a repeat costs no hashing");
    let other = within(node.app.register(request("Bob"), key("k"))).await;
    assert_eq!(other.expect_err("other content").code, "idempotency_key_reused");
    let no_key = within(node.app.register(request("Ann"), Context::default())).await;
    assert_eq!(no_key.expect_err("taken").code, "email_taken");
    assert_eq!(world.log.events().len(), 2);
}

#[tokio::test]
async fn editing_twice_with_one_key_edits_once_even_after_leaving() {
    let (world, node) = World::with_node();
    let email = Email::parse("ann@example.org").expect("an address");
    let name = DisplayName::parse("Ann").expect("a name");
    let ann = within(node.app.register_author(email, name, Context::default())).await;
    let ann = ann.expect("it is registered").value.member_id;
    let room = node.room_of(&[member(1), ann]).await;
    node.say(ann, room, "helo").await;
    let edit = |text| node.app.edit_message(ann, room, 1, body(text), key("k"));
    let first = within(edit("hello")).await.expect("it is edited");
    let events = world.log.events().len();
    let again = within(edit("hello")).await.expect("it was edited");
    assert_eq!(again.value, first.value);
    assert!(again.repeated);
    assert_eq!(world.log.events().len(), events);
    within(node.app.leave_room(ann, room, Context::default())).await.expect("it left");
    assert_eq!(within(edit("hello")).await.expect("it was edited").value, first.value);
    assert_eq!(within(edit("bye")).await.expect_err("the key is used").code, "idempotency_key_reused");
}

/// One node looks for the key before the other one commits, and reads what has become of it after that.
#[tokio::test]
async fn who_comes_second_is_not_refused_for_what_has_happened_since() {
    let world = World::new();
    let (here, there) = (world.node(one_shard()), world.node(one_shard()));
    let room = here.room_of(&[member(1), member(2)]).await;
    for node in [&there, &world.node(one_shard())] {
        let first = within(here.send_once(member(2), room, "hello", "k").wait()).await.expect("it is sent");
        within(here.app.leave_room(member(2), room, Context::default())).await.expect("it is out");
        world.log.blind_next_lookup();
        let again = within(node.send_once(member(2), room, "hello", "k").wait()).await.expect("it was sent");
        assert!(again.repeated);
        assert_eq!(again.value, first.value);
    }
}
