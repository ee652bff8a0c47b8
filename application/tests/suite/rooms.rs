//! Coming, going, and who may see what.

use crate::common::{Node, World, member, within};
use verbatim_application::{Context, ErrorClass};
use verbatim_domain::{
    MemberId,
    room::RoomKind,
    text::{DisplayName, Email},
};

async fn author(node: &Node, name: &str) -> MemberId {
    let email = Email::parse(&format!("{name}@example.org")).expect("an address");
    let name = DisplayName::parse(name).expect("a name");
    let done = within(node.app.register_author(email, name, Context::default())).await;
    done.expect("it is registered").value.member_id
}

#[tokio::test]
async fn coming_and_going_twice_is_no_error() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    for changed in [true, false] {
        let joined = within(node.app.join_room(member(2), room, Context::default())).await;
        assert_eq!(joined.expect("it is in").value.changed, changed);
    }
    for changed in [true, false] {
        let left = within(node.app.leave_room(member(2), room, Context::default())).await;
        assert_eq!(left.expect("it is out").value.changed, changed);
    }
}

#[tokio::test]
async fn an_answer_names_the_position_of_all_that_followed() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    let events = world.log.events().len() as u64;
    for (n, followed) in [(1, 2), (2, 4)] {
        // First an heir follows, then the closing.
        let left = within(node.app.leave_room(member(n), room, Context::default())).await;
        assert_eq!(left.expect("it is out").position, events + followed);
    }
    assert_eq!(world.log.events().len() as u64, events + 4);
}

#[tokio::test]
async fn only_accounts_can_be_added_and_only_by_those_inside() {
    let (_world, node) = World::with_node();
    let ann = author(&node, "ann").await;
    let room = node.room_of(&[member(1)]).await;
    let add = |by, who| node.app.add_member(by, who, room, Context::default());
    assert_eq!(within(add(member(1), member(404))).await.expect_err("nobody").code, "member_not_found");
    assert_eq!(within(add(member(9), ann)).await.expect_err("an outsider").code, "not_a_member");
    assert!(within(add(member(1), ann)).await.expect("she is in").value.changed);
    let out = within(node.app.remove_member(ann, member(1), room, Context::default())).await;
    assert_eq!(out.expect_err("no owner").code, "not_an_owner");
    assert!(
        within(node.app.remove_member(member(1), ann, room, Context::default()))
            .await
            .expect("she is out")
            .value
            .changed
    );
    assert_eq!(within(node.send(ann, room, "x").wait()).await.expect_err("she is out").code, "not_a_member");
}

#[tokio::test]
async fn a_direct_room_is_one_whoever_asks_and_hidden_from_others() {
    let (_world, node) = World::with_node();
    let (ann, bob) = (author(&node, "ann").await, author(&node, "bob").await);
    let open = |opener, other| node.app.open_direct_room(opener, other, Context::default());
    let one = within(open(ann, bob)).await.expect("it opens").value;
    let other = within(open(bob, ann)).await.expect("it is open").value;
    assert_eq!(one, other);
    assert_eq!((one.kind, one.member_count, one.name.as_deref()), (RoomKind::Direct, 2, None));
    assert_eq!(within(open(ann, ann)).await.expect_err("alone").code, "direct_room_with_oneself");
    assert_eq!(within(open(ann, member(404))).await.expect_err("nobody").code, "member_not_found");
    within(node.app.room(bob, one.room_id)).await.expect("he is in");
    let hidden = within(node.app.room(member(3), one.room_id)).await.expect_err("an outsider");
    assert_eq!((hidden.class, hidden.code), (ErrorClass::Forbidden, "not_a_member"));
    let join = within(node.app.join_room(member(3), one.room_id, Context::default())).await;
    assert_eq!(join.expect_err("it is for two").code, "direct_room_is_fixed");
}

#[tokio::test]
async fn a_group_room_is_shown_to_all_and_its_messages_are_not() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    node.say(member(1), room, "hello").await;
    let view = within(node.app.room(member(9), room)).await.expect("all may see it");
    assert_eq!((view.name.as_deref(), view.member_count, view.last_seq), (Some("kitchen"), 1, 1));
    let range = verbatim_application::ports::Range::Newest;
    let messages = within(node.app.messages(member(9), room, range, 10)).await;
    assert_eq!(messages.expect_err("an outsider").code, "not_a_member");
    assert_eq!(within(node.app.messages(member(1), room, range, 10)).await.expect("it is in").len(), 1);
}
