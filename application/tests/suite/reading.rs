//! Read cursors: clamped at the room's end, never back.

use crate::common::{World, member, within};
use std::sync::atomic::Ordering;
use verbatim_application::{Context, ErrorClass, codec::Streamed};
use verbatim_domain::CursorId;

#[tokio::test]
async fn marking_read_is_clamped_and_never_goes_back() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    for _ in 0..5 {
        node.say(member(1), room, "hello").await;
    }
    let cursor = CursorId::of(room, member(2)).stream();
    for (seq, read_seq, events) in [
        (0, 0, 0),
        (3, 3, 1),
        (2, 3, 1),
        (3, 3, 1),
        (0, 3, 1),
        (99, 5, 2),
        (5, 5, 2),
        (u64::MAX, 5, 2),
        (1, 5, 2),
    ] {
        let done = within(node.app.mark_read(member(2), room, seq, Context::default())).await;
        let done = done.expect("it is read").value;
        assert_eq!((done.read_seq, done.unread, done.last_seq), (read_seq, 5 - read_seq, 5), "marked {seq}");
        assert_eq!(world.log.stream(cursor).len(), events, "marked {seq}");
    }
    let room_events = world.log.stream(room.stream()).len();
    assert_eq!(room_events, 7, "reading writes nothing to the room");
}

#[tokio::test]
async fn the_count_is_asked_after_the_projection_has_it() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    node.say(member(1), room, "hello").await;
    let done = within(node.app.mark_read(member(2), room, 1, Context::default())).await.expect("it is read");
    assert_eq!(world.reads.waited.lock().expect("no panic")[..], [done.position]);
    assert_eq!(done.position, world.log.events().len() as u64);
    world.reads.stuck.store(true, Ordering::SeqCst);
    node.say(member(1), room, "hello").await;
    let error = within(node.app.mark_read(member(2), room, 2, Context::default())).await;
    let error = error.expect_err("the projections are stuck");
    assert_eq!((error.class, error.code), (ErrorClass::Unavailable, "projection_behind"));
    // Who does not ask for the count need not wait for it.
    within(node.app.begin_mark_read(member(2), room, 2, Context::default())).await.expect("it is read");
}

#[tokio::test]
async fn outsiders_have_no_cursor() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    node.say(member(1), room, "hello").await;
    let events = world.log.events().len();
    let error = within(node.app.mark_read(member(2), room, 1, Context::default())).await;
    assert_eq!(error.expect_err("an outsider").code, "not_a_member");
    let nowhere = verbatim_domain::RoomId::from_uuid(uuid::Uuid::from_u128(404));
    let error = within(node.app.mark_read(member(1), nowhere, 1, Context::default())).await;
    assert_eq!(error.expect_err("there is none").code, "room_not_found");
    assert_eq!(world.log.events().len(), events);
}
