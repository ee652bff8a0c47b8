//! Editing and deleting: the message is found in its stream by its number, whatever lies between.

use crate::common::{Node, World, body, key, member, within};
use proptest::prelude::*;
use verbatim_application::{
    Context, ErrorClass,
    codec::{Event, Streamed},
};
use verbatim_domain::{
    MemberId, RoomId,
    room::RoomEvent,
    text::{DisplayName, Email},
};

/// An account, for answers that name the sender.
async fn author(node: &Node) -> MemberId {
    let email = Email::parse("ann@example.org").expect("an address");
    let name = DisplayName::parse("Ann").expect("a name");
    let done = within(node.app.register_author(email, name, Context::default())).await;
    done.expect("it is registered").value.member_id
}

#[tokio::test]
async fn an_edit_gives_the_message_as_it_is_now() {
    let (_world, node) = World::with_node();
    let ann = author(&node).await;
    let room = node.room_of(&[ann, member(2)]).await;
    let sent = within(node.app.send_message(ann, room, body("helo"), Context::default())).await;
    let sent = sent.expect("it is sent").value;
    assert_eq!((sent.sender_name.as_str(), sent.edited_at, sent.deleted), ("Ann", None, false));
    let edited = within(node.app.edit_message(ann, room, 1, body("hello"), Context::default())).await;
    let edited = edited.expect("it is edited").value;
    assert_eq!(edited.body, "hello");
    assert!(edited.edited_at.is_some());
    assert_eq!((edited.message_id, edited.seq, edited.sent_at), (sent.message_id, 1, sent.sent_at));
    assert_eq!(edited.sender_name, "Ann");
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let (_world, node) = World::with_node();
    let ann = author(&node).await;
    let room = node.room_of(&[ann, member(2)]).await;
    node.say(ann, room, "one").await;
    let edit = |by, room, seq| node.app.edit_message(by, room, seq, body("x"), Context::default());
    let nowhere = RoomId::from_uuid(uuid::Uuid::from_u128(404));
    for (by, room, seq, code) in [
        (member(2), room, 1, "not_the_sender"),
        (ann, room, 2, "message_not_found"),
        (ann, room, 0, "message_not_found"),
        (ann, room, u64::MAX, "message_not_found"),
        (member(3), room, 1, "not_a_member"),
        (member(3), room, 9, "not_a_member"),
        (ann, nowhere, 1, "room_not_found"),
    ] {
        assert_eq!(within(edit(by, room, seq)).await.expect_err("it may not").code, code);
    }
    // A key of one's own does not open other rooms.
    let keyed = node.app.edit_message(member(3), room, 9, body("x"), key("k"));
    assert_eq!(within(keyed).await.expect_err("an outsider").code, "not_a_member");
}

#[tokio::test]
async fn deleting_twice_is_no_error_and_editing_then_is() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    node.say(member(1), room, "oops").await;
    let delete = || node.app.delete_message(member(1), room, 1, Context::default());
    let first = within(delete()).await.expect("it is gone");
    let events = world.log.events().len();
    let again = within(delete()).await.expect("it is gone");
    assert_eq!(world.log.events().len(), events);
    assert!(again.position >= first.position);
    let edit = within(node.app.edit_message(member(1), room, 1, body("x"), Context::default())).await;
    let error = edit.expect_err("it is gone");
    assert_eq!((error.class, error.code), (ErrorClass::Rejected, "message_deleted"));
}

#[tokio::test]
async fn finding_one_of_many_takes_few_looks() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    let sends: Vec<_> = (0..500).map(|n| node.send(member(1), room, &n.to_string())).collect();
    for pending in sends {
        within(pending.wait()).await.expect("it is sent");
    }
    let loads = world.log.loads(room.stream());
    within(node.app.delete_message(member(1), room, 250, Context::default())).await.expect("it is gone");
    assert!(world.log.loads(room.stream()) - loads <= 10, "log2 of 500 is 9");
}

/// What happens in a room before its messages are looked for.
#[derive(Debug, Clone)]
enum Happening {
    Sent,
    Joined(u128),
    Left(u128),
    Edited(prop::sample::Index),
    Deleted(prop::sample::Index),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Sent),
        2 => (10_u128..14).prop_map(Happening::Joined),
        1 => (10_u128..14).prop_map(Happening::Left),
        1 => any::<prop::sample::Index>().prop_map(Happening::Edited),
        1 => any::<prop::sample::Index>().prop_map(Happening::Deleted),
    ]
}

/// Each message that is not deleted can be found by its number, and is the one that was sent under it.
async fn find_all(happenings: Vec<Happening>) {
    let (world, node) = World::with_node();
    let ann = author(&node).await;
    let room = node.room_of(&[ann]).await;
    let none = Context::default;
    let mut messages = Vec::new();
    for happening in happenings {
        match happening {
            Happening::Sent => {
                let done = within(node.send(ann, room, "x").wait()).await.expect("it is sent");
                messages.push((done.value.message_id, false));
            }
            Happening::Joined(n) => {
                within(node.app.join_room(member(n), room, none())).await.expect("it is in");
            }
            Happening::Left(n) => {
                within(node.app.leave_room(member(n), room, none())).await.expect("it is out");
            }
            Happening::Edited(which) if !messages.is_empty() => {
                let at = which.index(messages.len());
                let edited = within(node.app.edit_message(ann, room, at as u64 + 1, body("y"), none())).await;
                assert_eq!(edited.is_err(), messages[at].1, "only deleted ones can't be edited");
            }
            Happening::Deleted(which) if !messages.is_empty() => {
                let at = which.index(messages.len());
                within(node.app.delete_message(ann, room, at as u64 + 1, none())).await.expect("it is gone");
                messages[at].1 = true;
            }
            Happening::Edited(_) | Happening::Deleted(_) => {}
        }
    }
    for ((message_id, deleted), seq) in messages.iter().zip(1..) {
        match within(node.app.edit_message(ann, room, seq, body("z"), none())).await {
            Ok(edited) => assert_eq!((edited.value.message_id, edited.value.seq), (*message_id, seq)),
            Err(error) => assert!(*deleted && error.code == "message_deleted", "{error:?}"),
        }
    }
    let beyond = within(node.app.delete_message(ann, room, messages.len() as u64 + 1, none())).await;
    assert_eq!(beyond.expect_err("there is none").code, "message_not_found");
    for event in world.log.stream(room.stream()) {
        if let Event::Room(RoomEvent::MessageEdited { message_id, seq, .. }) = event {
            assert_eq!(messages[usize::try_from(seq).expect("few") - 1].0, message_id);
        }
    }
    world.log.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_message_is_found_by_its_number(happenings in prop::collection::vec(happening(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(find_all(happenings));
    }
}
