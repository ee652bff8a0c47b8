//! Contract suites of the read ports: whatever is behind a port must pass them.

use super::{model::Model, world::World};
use std::sync::Arc;
use verbatim_application::{
    codec::Event,
    ports::{HistoryReader, Range, UnreadReader},
};

/// Makes readers that contain these events, and no others.
#[async_trait::async_trait]
pub trait Factory {
    async fn history(&mut self, events: Vec<Event>) -> Arc<dyn HistoryReader>;
    async fn unread(&mut self, events: Vec<Event>) -> Arc<dyn UnreadReader>;
}

/// All that [`HistoryReader`] promises.
pub async fn history(factory: &mut dyn Factory) {
    let mut world = World::populated(3, 2);
    for number in 0..120 {
        world.send(world.room(number % 2), world.member(number));
    }
    for (member, seq) in [(0, 10), (1, 11), (2, 12)] {
        world.act(&super::world::Act::Edit { room: 0, member, seq });
        world.act(&super::world::Act::Delete { room: 0, member, seq: seq + 9 });
    }
    world.act(&super::world::Act::Rename { member: 1, name: 9 });
    let (room, other) = (world.room(0), world.room(1));
    let events = world.take();
    let expected = Model::of(&events).history(room);
    assert_eq!(expected.len(), 60);
    assert!(expected.iter().any(|m| m.deleted) && expected.iter().any(|m| m.edited_at.is_some()));
    let reader = factory.history(events).await;

    let all = reader.messages(room, Range::After(0), 200).await.unwrap();
    assert_eq!(all, expected, "oldest first, edited, deleted without body, with the names of now");
    let seqs = async |range, limit| -> Vec<u64> {
        reader.messages(room, range, limit).await.unwrap().iter().map(|message| message.seq).collect()
    };
    assert_eq!(seqs(Range::Newest, 3).await, [58, 59, 60]);
    assert_eq!(seqs(Range::Before(58), 3).await, [55, 56, 57]);
    assert_eq!(seqs(Range::Before(2), 3).await, [1]);
    assert_eq!(seqs(Range::Before(1), 3).await, [0; 0]);
    assert_eq!(seqs(Range::Before(0), 3).await, [0; 0]);
    assert_eq!(seqs(Range::Before(u64::MAX), 2).await, [59, 60]);
    assert_eq!(seqs(Range::After(0), 3).await, [1, 2, 3]);
    assert_eq!(seqs(Range::After(58), 3).await, [59, 60]);
    assert_eq!(seqs(Range::After(60), 3).await, [0; 0]);
    assert_eq!(seqs(Range::After(u64::MAX), 3).await, [0; 0]);
    assert_eq!(seqs(Range::Newest, 0).await.len(), 1, "a page has at least one message");

    assert_eq!(reader.message(room, 20).await.unwrap().as_ref(), expected.get(19));
    assert_eq!(reader.message(room, 0).await.unwrap(), None);
    assert_eq!(reader.message(room, 61).await.unwrap(), None);
    assert_eq!(reader.messages(other, Range::Newest, 200).await.unwrap().len(), 60);
    let nowhere = verbatim_domain::RoomId::direct(world.member(0), world.member(0));
    assert_eq!(reader.messages(nowhere, Range::Newest, 10).await.unwrap(), []);
}

/// All that [`UnreadReader`] promises.
pub async fn unread(factory: &mut dyn Factory) {
    use super::world::Act;
    let mut world = World::populated(4, 3);
    let acts = [
        Act::Send { room: 0, member: 0 },
        Act::Send { room: 0, member: 1 },
        Act::Send { room: 0, member: 0 },
        Act::Send { room: 1, member: 2 },
        Act::Read { room: 0, member: 2, seq: 2 },
        // Behind and before the readers' marks.
        Act::Delete { room: 0, member: 0, seq: 0 },
        Act::Delete { room: 0, member: 0, seq: 2 },
        Act::Leave { room: 0, member: 3 },
        Act::Send { room: 0, member: 1 },
        Act::Join { room: 0, member: 3 },
        Act::Send { room: 0, member: 2 },
        Act::Leave { room: 2, member: 3 },
        Act::Direct { member: 0, other: 3 },
        Act::Send { room: 3, member: 3 },
    ];
    for act in &acts {
        world.act(act);
    }
    let events = world.take();
    let last = events.len() as u64;
    let model = Model::of(&events);
    let reader = factory.unread(events).await;
    let mut some_unread = 0;
    for number in 0..4 {
        let member = world.member(number);
        let mut expected = model.unread(member);
        expected.sort_by_key(|unread| unread.room_id);
        some_unread += expected.iter().filter(|unread| unread.unread > 0).count();
        let mut snapshot = reader.unread(member).await.unwrap();
        snapshot.rooms.sort_by_key(|unread| unread.room_id);
        assert_eq!(snapshot.rooms, expected, "of member {number}");
        assert_eq!(snapshot.position, last);
        for unread in &expected {
            let found = reader.unread_in(member, &[unread.room_id, world.room(2)]).await.unwrap();
            assert!(found.contains(unread), "{found:?} lacks {unread:?}");
        }
    }
    assert!(some_unread > 3);
    let outsider = world.member(3);
    assert_eq!(
        reader.unread_in(outsider, &[world.room(2)]).await.unwrap(),
        [],
        "rooms one is not in are left out"
    );
    assert_eq!(reader.unread_in(outsider, &[]).await.unwrap(), []);
    let nobody = verbatim_domain::MemberId::from_uuid(uuid::Uuid::nil());
    assert_eq!(reader.unread(nobody).await.unwrap().rooms, []);
}
