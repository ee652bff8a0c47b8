//! Several messages as one: all are sent, or none.

use crate::common::{Fault, World, body, member, within};
use verbatim_application::{
    Context, ErrorClass,
    bus::{BATCH_STEPS_MAX, STEPS_MAX},
    codec::Streamed,
    commands::Outgoing,
};
use verbatim_domain::{RoomId, text::IdempotencyKey};

fn to(room_id: RoomId, text: &str, key: Option<&str>) -> Outgoing {
    let idempotency_key = key.map(|key| IdempotencyKey::parse(key).expect("a key"));
    Outgoing { room_id, body: body(text), idempotency_key }
}

#[tokio::test]
async fn all_go_in_with_one_append() {
    let (world, node) = World::with_node();
    let (one, other) = (node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await);
    let before = world.log.appends().len();
    let all = vec![to(one, "a", None), to(other, "b", None), to(one, "c", None)];
    let sent =
        within(node.app.begin_send_all(member(1), all, Context::default()).expect("it is queued").wait())
            .await;
    let sent = sent.expect("all are sent");
    assert_eq!(sent.iter().map(|done| done.value.seq).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(world.log.appends()[before..], [3]);
    let positions: Vec<_> = sent.iter().map(|done| done.position).collect();
    assert!(positions.is_sorted());
}

#[tokio::test]
async fn one_refusal_refuses_all() {
    let (world, node) = World::with_node();
    let (mine, theirs) = (node.room_of(&[member(1)]).await, node.room_of(&[member(2)]).await);
    let all = vec![to(mine, "a", Some("k")), to(theirs, "b", None), to(mine, "c", None)];
    let sent =
        within(node.app.begin_send_all(member(1), all, Context::default()).expect("it is queued").wait())
            .await;
    assert_eq!(sent.expect_err("an outsider").code, "not_a_member");
    assert_eq!(world.log.stream(mine.stream()).len(), 1);
    // Neither the number nor the key was used up, in this batch or later.
    let done = within(node.send_once(member(1), mine, "other", "k").wait()).await.expect("it is sent");
    assert_eq!((done.value.seq, done.repeated), (1, false));
}

#[tokio::test]
async fn a_refused_one_leaves_its_batch_as_if_it_had_not_been() {
    let (world, node) = World::with_node();
    let (mine, theirs) = (node.room_of(&[member(1)]).await, node.room_of(&[member(2)]).await);
    let before = node.send(member(1), mine, "before");
    let all = vec![to(mine, "a", Some("k")), to(theirs, "b", None)];
    let refused = node.app.begin_send_all(member(1), all, Context::default()).expect("it is queued");
    let between = node.send(member(1), mine, "between");
    let after = node.send_once(member(1), mine, "after", "k");
    within(between.wait()).await.expect("it is sent");
    assert_eq!(within(before.wait()).await.expect("it is sent").value.seq, 1);
    within(refused.wait()).await.expect_err("an outsider");
    let after = within(after.wait()).await.expect("it is sent");
    assert_eq!((after.value.seq, after.repeated), (3, false));
    world.log.check();
}

#[tokio::test]
async fn when_the_append_fails_none_is_sent() {
    let (world, node) = World::with_node();
    let (one, other) = (node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await);
    world.log.fail_next(Fault::Unavailable);
    let all = vec![to(one, "a", None), to(other, "b", None)];
    let sent =
        within(node.app.begin_send_all(member(1), all, Context::default()).expect("it is queued").wait())
            .await;
    assert_eq!(sent.expect_err("no disk").class, ErrorClass::Unavailable);
    assert_eq!(node.say(member(1), one, "x").await, 1);
    assert_eq!(node.say(member(1), other, "x").await, 1);
}

#[tokio::test]
async fn all_again_with_their_keys_is_all_repeated() {
    let (world, node) = World::with_node();
    let (one, other) = (node.room_of(&[member(1)]).await, node.room_of(&[member(1)]).await);
    let all = || vec![to(one, "a", Some("k1")), to(other, "b", Some("k2"))];
    let begin = || node.app.begin_send_all(member(1), all(), Context::default()).expect("it is queued");
    let (first, again) = (begin(), begin());
    let first = within(first.wait()).await.expect("all are sent");
    let again = within(again.wait()).await.expect("all were sent");
    assert!(first.iter().all(|done| !done.repeated) && again.iter().all(|done| done.repeated));
    assert!(first.iter().zip(&again).all(|(first, again)| first.value == again.value));
    assert!(within(begin().wait()).await.expect("all were sent").iter().all(|done| done.repeated));
    world.log.check();
}

#[tokio::test]
async fn one_key_for_two_of_them_is_refused() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let all = vec![to(room, "a", Some("k")), to(room, "b", Some("k"))];
    let refused = node.app.begin_send_all(member(1), all, Context::default());
    assert_eq!(refused.expect_err("one key").code, "idempotency_key_reused");
}

#[tokio::test]
async fn many_large_ones_are_more_than_one_append() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let before = world.log.appends().len();
    let large = || (0..STEPS_MAX).map(|_| to(room, "a", None)).collect();
    let begin = |_| node.app.begin_send_all(member(1), large(), Context::default()).expect("it is queued");
    let pending: Vec<_> = (0..6).map(begin).collect();
    let mut next = 1;
    for pending in pending {
        for done in within(pending.wait()).await.expect("all are sent") {
            assert_eq!(done.value.seq, next, "their order is kept");
            next += 1;
        }
    }
    assert_eq!(world.log.appends()[before..], [BATCH_STEPS_MAX, 6 * STEPS_MAX - BATCH_STEPS_MAX]);
}

#[tokio::test]
async fn more_than_fits_is_refused_before_it_is_queued() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let all = (0..=STEPS_MAX).map(|_| to(room, "a", None)).collect();
    let refused = node.app.begin_send_all(member(1), all, Context::default());
    assert_eq!(refused.expect_err("too many").class, ErrorClass::TooLarge);
    let refused = node.app.begin_send_all(member(1), vec![], Context::default());
    assert_eq!(refused.expect_err("none").class, ErrorClass::Internal);
}
