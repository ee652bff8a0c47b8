//! The use cases that only read: bounded pages, errors by name, waiting for a position.

use crate::common::{World, member, within};
use std::sync::atomic::Ordering;
use verbatim_application::{ErrorClass, ports::Range, queries::PAGE_MAX};

#[tokio::test]
async fn no_page_is_larger_than_the_bound_or_empty() {
    let (world, node) = World::with_node();
    let room = node.room_of(&[member(1)]).await;
    for limit in [0, 10, usize::MAX] {
        within(node.app.messages(member(1), room, Range::Newest, limit)).await.expect("it is read");
        within(node.app.discover_rooms(None, limit)).await.expect("it is read");
        within(node.app.room_members(member(1), room, None, limit)).await.expect("it is read");
        within(node.app.my_rooms(member(1), None, limit)).await.expect("it is read");
    }
    let expected = [[1; 4], [10; 4], [PAGE_MAX; 4]].concat();
    assert_eq!(*world.reads.limits.lock().expect("no panic"), expected);
}

#[tokio::test]
async fn ones_rooms_come_with_their_unread_counts() {
    let (_world, node) = World::with_node();
    let room = node.room_of(&[member(1), member(2)]).await;
    for _ in 0..3 {
        node.say(member(2), room, "hello").await;
    }
    let page = within(node.app.my_rooms(member(1), None, 10)).await.expect("it is read");
    assert_eq!(page.items.iter().map(|item| (item.unread, item.read_seq)).collect::<Vec<_>>(), [(3, 0)]);
}

#[tokio::test]
async fn errors_of_the_read_models_have_their_names() {
    let (_world, node) = World::with_node();
    let error = within(node.app.discover_rooms(Some("?"), 10)).await.expect_err("a bad cursor");
    assert_eq!((error.class, error.fields[0].field), (ErrorClass::Invalid, "cursor"));
    let error = within(node.app.find_members("a", None, 10)).await.expect_err("no table");
    assert_eq!(error.class, ErrorClass::Unavailable);
    assert!(!error.to_string().contains("table"), "what lies beneath is not shown");
}

#[tokio::test]
async fn a_read_that_must_see_a_write_waits_for_it() {
    let (world, node) = World::with_node();
    within(node.app.see(None)).await.expect("nothing to wait for");
    within(node.app.see(Some(7))).await.expect("it is there");
    world.reads.stuck.store(true, Ordering::SeqCst);
    let error = within(node.app.see(Some(8))).await.expect_err("it is not there");
    assert_eq!((error.class, error.code), (ErrorClass::Unavailable, "projection_behind"));
    assert_eq!(*world.reads.waited.lock().expect("no panic"), [7, 8]);
}
