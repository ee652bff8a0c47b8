//! Lists, pages and cursors.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, Running,
    world::{Act, World},
};
use verbatim_application::ports::{Page, ReadError};
use verbatim_domain::room::{RoomKind, RoomRole};

async fn serve(backend: Backend, world: &mut World) -> (Bench, Running) {
    let bench = Bench::new(backend);
    bench.log.write(world.take());
    let running = bench.start().await;
    bench.settle(&running.models).await;
    (bench, running)
}

/// All items, page by page.
async fn walk<T>(mut page: impl AsyncFnMut(Option<&str>) -> Page<T>, size: usize) -> Vec<T> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let Page { items, next } = page(cursor.as_deref()).await;
        assert!(items.len() == size || next.is_none(), "only the last page is short");
        assert!(!items.is_empty() || all.is_empty(), "no page is empty");
        all.extend(items);
        let Some(next) = next else { return all };
        assert!(all.len() < 1_000, "pages without end");
        cursor = Some(next);
    }
}

async fn discovery_shows_open_group_rooms_newest_first(backend: Backend) {
    let mut world = World::default();
    (0..3).for_each(|_| world.act(&Act::Register));
    for member in 0..7 {
        world.act(&Act::Create { member });
    }
    world.act(&Act::Direct { member: 0, other: 1 });
    world.act(&Act::Leave { room: 2, member: 2 });
    let expected: Vec<_> = [6, 5, 4, 3, 1, 0].iter().map(|room| world.room(*room)).collect();
    let (_bench, running) = serve(backend, &mut world).await;
    let rooms = running.models.rooms();
    for size in [1, 2, 3, 6, 7] {
        let found = walk(async |cursor| rooms.discover(cursor, size).await.unwrap(), size).await;
        assert_eq!(found.iter().map(|room| room.room_id).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|room| room.kind == RoomKind::Group && room.name.is_some()));
    }
    let direct = rooms.room(world.room(7)).await.unwrap().unwrap();
    assert_eq!((direct.kind, direct.name, direct.member_count), (RoomKind::Direct, None, 2));
    assert_eq!(
        rooms.room(verbatim_domain::RoomId::direct(world.member(2), world.member(2))).await.unwrap(),
        None
    );
}

async fn members_of_a_room_come_longest_standing_first(backend: Backend) {
    let mut world = World::populated(5, 1);
    world.act(&Act::Leave { room: 0, member: 0 });
    world.act(&Act::Rename { member: 3, name: 1 });
    world.act(&Act::Join { room: 0, member: 0 });
    let expected: Vec<_> = [1, 2, 3, 4, 0].iter().map(|member| world.member(*member)).collect();
    let (_bench, running) = serve(backend, &mut world).await;
    let rooms = running.models.rooms();
    for size in [1, 2, 4, 5, 9] {
        let found =
            walk(async |cursor| rooms.members(world.room(0), cursor, size).await.unwrap(), size).await;
        assert_eq!(found.iter().map(|member| member.member_id).collect::<Vec<_>>(), expected);
        assert_eq!((found[0].role, found[4].role), (RoomRole::Owner, RoomRole::Member));
        assert_eq!(found[2].display_name, "Name 1");
    }
}

async fn ones_own_rooms_come_latest_activity_first_with_their_last_message(backend: Backend) {
    let mut world = World::populated(2, 6);
    world.act(&Act::Send { room: 3, member: 0 });
    world.act(&Act::Send { room: 1, member: 1 });
    world.act(&Act::Delete { room: 3, member: 0, seq: 0 });
    world.act(&Act::Leave { room: 5, member: 1 });
    let expected: Vec<_> = [1, 3, 4, 2, 0].iter().map(|room| world.room(*room)).collect();
    let (_bench, running) = serve(backend, &mut world).await;
    let rooms = running.models.rooms();
    for size in [1, 2, 5, 8] {
        let found =
            walk(async |cursor| rooms.rooms_of(world.member(1), cursor, size).await.unwrap(), size).await;
        assert_eq!(found.iter().map(|mine| mine.room.room_id).collect::<Vec<_>>(), expected);
        let last = found[0].last_message.as_ref().unwrap();
        assert_eq!((last.seq, last.sender_name.as_str(), last.room_id), (1, "Member 1", expected[0]));
        assert!(found[1].last_message.as_ref().is_some_and(|last| last.deleted && last.body.is_empty()));
        assert!(found[2].last_message.is_none());
    }
}

async fn the_directory_is_searched_whatever_the_case(backend: Backend) {
    let mut world = World::default();
    (0..30).for_each(|_| world.act(&Act::Register));
    world.act(&Act::Rename { member: 7, name: 40 });
    let (bench, running) = serve(backend, &mut world).await;
    let members = running.models.members();
    let names = async |query: &str| -> Vec<String> {
        let found = walk(async |cursor| members.search(query, cursor, 4).await.unwrap(), 4).await;
        found.into_iter().map(|member| member.display_name).collect()
    };
    assert_eq!(names("").await.len(), 30);
    assert_eq!(names("MEMBER 2").await.len(), 11);
    assert_eq!(names("name").await, ["Name 40"]);
    assert_eq!(names("%").await, [""; 0], "no wildcards");
    assert_eq!(names("_ember").await, [""; 0]);
    let mut sorted = names("member").await;
    sorted.sort();
    assert_eq!(names("member").await, sorted);

    // Letters that are not ASCII, composed or not.
    let member_id = world.member(3);
    let display_name = verbatim_domain::text::DisplayName::parse("ÅSE Öberg").unwrap();
    let changed = verbatim_domain::member::MemberEvent::DisplayNameChanged {
        member_id,
        display_name,
        at: common::at(0),
    };
    bench.log.write([verbatim_application::codec::Event::Member(changed)]);
    bench.settle(&running.models).await;
    assert_eq!(names("åse").await, ["ÅSE Öberg"]);
    assert_eq!(names("A\u{30a}SE O\u{308}").await, ["ÅSE Öberg"]);
    assert_eq!(members.member(member_id).await.unwrap().unwrap().display_name, "ÅSE Öberg");
}

async fn a_cursor_of_another_list_or_none_at_all_is_refused(backend: Backend) {
    let mut world = World::populated(3, 3);
    let (_bench, running) = serve(backend, &mut world).await;
    let (rooms, members) = (running.models.rooms(), running.models.members());
    let of_rooms = rooms.discover(None, 1).await.unwrap().next.unwrap();
    let of_members = members.search("", None, 1).await.unwrap().next.unwrap();
    for wrong in ["", "x", "AAAA", "====", of_members.as_str()] {
        let refused = rooms.discover(Some(wrong), 1).await;
        assert!(matches!(refused, Err(ReadError::BadCursor)), "{wrong}: {refused:?}");
    }
    for wrong in ["", "🦀", of_rooms.as_str()] {
        assert!(matches!(rooms.members(world.room(0), Some(wrong), 1).await, Err(ReadError::BadCursor)));
        assert!(matches!(rooms.rooms_of(world.member(0), Some(wrong), 1).await, Err(ReadError::BadCursor)));
        assert!(matches!(members.search("", Some(wrong), 1).await, Err(ReadError::BadCursor)));
    }
}

on_each_database! {
    discovery_shows_open_group_rooms_newest_first,
    members_of_a_room_come_longest_standing_first,
    ones_own_rooms_come_latest_activity_first_with_their_last_message,
    the_directory_is_searched_whatever_the_case,
    a_cursor_of_another_list_or_none_at_all_is_refused,
}
