//! When the log fails: who waits hears it, what was held in memory is let go, and the next command goes on.

use crate::common::{Fault, World, body, key, member, within};
use futures_util::future::join_all;
use verbatim_application::{Context, ErrorClass, codec::Streamed};

#[tokio::test]
async fn when_the_log_takes_nothing_all_hear_it_and_the_next_goes_on() {
    for fault in [Fault::Unavailable, Fault::UnknownLost] {
        let (world, node) = World::with_node();
        let room = node.room_of(&[member(1)]).await;
        assert_eq!(node.say(member(1), room, "one").await, 1);
        world.log.fail_next(fault);
        let waiting: Vec<_> = (0..5).map(|_| node.send(member(1), room, "lost")).collect();
        for answer in within(join_all(waiting.into_iter().map(|pending| pending.wait()))).await {
            let error = answer.expect_err("nothing was taken");
            assert_eq!((error.class, error.code), (ErrorClass::Unavailable, "unavailable"));
            assert!(error.retry_after.is_some());
        }
        let loads = world.log.loads(room.stream());
        assert_eq!(node.say(member(1), room, "two").await, 2, "the number was not used up");
        assert!(world.log.loads(room.stream()) > loads, "the room was read again");
        world.log.check();
    }
}

#[tokio::test]
async fn an_unknown_outcome_that_was_done_is_found_again_by_its_key() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.fail_next(Fault::UnknownWritten);
    let error = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect_err("unknown");
    assert_eq!(error.class, ErrorClass::Unavailable);
    let done = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it was done");
    assert!(done.repeated);
    assert_eq!(done.value.seq, 1);
    assert_eq!(node.say(member(1), room, "next").await, 2);
    world.log.check();
}

#[tokio::test]
async fn an_unknown_outcome_that_was_not_done_is_done_by_the_retry() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.fail_next(Fault::UnknownLost);
    within(node.send_once(member(1), room, "hello", "k").wait()).await.expect_err("unknown");
    let done = within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it is done now");
    assert!(!done.repeated);
    assert_eq!(done.value.seq, 1);
}

#[tokio::test]
async fn a_repeat_is_answered_even_when_its_batch_fails() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    within(node.send_once(member(1), room, "hello", "k").wait()).await.expect("it is sent");
    world.log.fail_next(Fault::Unavailable);
    let new = node.send(member(1), room, "new");
    let old = node.send_once(member(1), room, "hello", "k");
    within(new.wait()).await.expect_err("no disk");
    assert!(within(old.wait()).await.expect("it was done long ago").repeated);
}

#[tokio::test]
async fn when_the_log_cannot_be_read_commands_and_looks_say_so() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    world.log.unreadable(true);
    let unknown_room = verbatim_domain::RoomId::from_uuid(uuid::Uuid::from_u128(77));
    let sent = within(node.send(member(1), unknown_room, "x").wait()).await;
    assert_eq!(sent.expect_err("no disk").class, ErrorClass::Unavailable);
    let looked = within(node.app.bus.room(unknown_room, |_, _| Ok(()))).await;
    assert_eq!(looked.expect_err("no disk").class, ErrorClass::Unavailable);
    // Whom the read models know in a room may go on reading it; these here know everybody everywhere.
    within(node.app.admit(member(1), unknown_room)).await.expect("a member by the read models");
    let heard = within(node.app.admit_listener(member(1), unknown_room, Some(7))).await;
    assert_eq!(heard.expect("a member by the read models"), Some(7), "what was seen is believed");
    let keyed = node.app.begin_send(member(1), room, body("x"), key("k")).expect("it is queued");
    assert_eq!(within(keyed.wait()).await.expect_err("no disk").class, ErrorClass::Unavailable);
    // What needs no reading goes on; an outsider is not refused on state that can't be checked.
    node.say(member(1), room, "still").await;
    let (outsider, insider) = (node.send(member(9), room, "x"), node.send(member(1), room, "x"));
    assert_eq!(within(outsider.wait()).await.expect_err("no disk").class, ErrorClass::Unavailable);
    within(insider.wait()).await.expect("its neighbour in the batch changes nothing");
    world.log.unreadable(false);
    node.say(member(1), room, "again").await;
    assert_eq!(
        within(node.send(member(9), room, "x").wait()).await.expect_err("an outsider").code,
        "not_a_member"
    );
}

#[tokio::test]
async fn one_stream_that_cannot_be_read_harms_no_other() {
    let (world, node) = World::with_node();
    let sound = node.room_of(&[member(1)]).await;
    let spoilt = node.room_of(&[member(1)]).await;
    world.log.spoil(spoilt.stream(), 1);
    // Lets the bus forget what it knows of both.
    world.log.fail_next(Fault::Unavailable);
    let (one, other) = (node.send(member(1), sound, "x"), node.send(member(1), spoilt, "x"));
    within(one.wait()).await.expect_err("no disk");
    within(other.wait()).await.expect_err("no disk");
    let (one, other) = (node.send(member(1), sound, "x"), node.send(member(1), spoilt, "x"));
    assert_eq!(within(other.wait()).await.expect_err("it is spoilt").class, ErrorClass::Internal);
    within(one.wait()).await.expect("its room is sound");
    let looked = within(node.app.admit(member(1), spoilt)).await;
    assert_eq!(looked.expect_err("it is spoilt").class, ErrorClass::Internal);
    assert_eq!(within(node.app.admit(member(1), sound)).await.expect("it is sound"), 1);
}

#[tokio::test]
async fn a_hole_in_a_stream_is_an_error_not_a_state() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    world.log.cut_out(room.stream(), 2);
    node.say(member(1), room, "known from memory").await;
    world.log.fail_next(Fault::Unavailable);
    within(node.send(member(1), room, "x").wait()).await.expect_err("no disk");
    let sent = within(node.send(member(1), room, "x").wait()).await;
    assert_eq!(sent.expect_err("an event is missing").class, ErrorClass::Internal);
}

#[tokio::test]
async fn a_failed_registration_leaves_nothing_behind() {
    let (world, node) = World::with_node();
    world.log.fail_next(Fault::Unavailable);
    let email = verbatim_domain::text::Email::parse("a@example.org").expect("an address");
    let name = verbatim_domain::text::DisplayName::parse("A").expect("a name");
    let first = within(node.app.register_author(email.clone(), name.clone(), Context::default())).await;
    first.expect_err("no disk");
    assert!(world.log.events().is_empty());
    within(node.app.register_author(email, name, Context::default())).await.expect("it is free");
    world.log.check();
}
