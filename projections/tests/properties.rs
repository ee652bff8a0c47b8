//! However a valid history is cut into batches, the read models are the same, and what the simplest model says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench,
    model::Model,
    tables,
    world::{Act, World},
};
use proptest::{collection::vec, prelude::*};
use verbatim_application::{codec::Event, ports::Range, views::UnreadView};

fn act() -> impl Strategy<Value = Act> {
    let (room, member, seq) = (0..6_usize, 0..6_usize, 0..40_u64);
    prop_oneof![
        2 => Just(Act::Register),
        1 => (member.clone(), any::<u8>()).prop_map(|(member, name)| Act::Rename { member, name }),
        1 => member.clone().prop_map(|member| Act::Promote { member }),
        3 => member.clone().prop_map(|member| Act::Create { member }),
        1 => (member.clone(), member.clone()).prop_map(|(member, other)| Act::Direct { member, other }),
        6 => (room.clone(), member.clone()).prop_map(|(room, member)| Act::Join { room, member }),
        3 => (room.clone(), member.clone(), member.clone()).prop_map(|(room, by, member)| Act::Add { room, by, member }),
        3 => (room.clone(), member.clone()).prop_map(|(room, member)| Act::Leave { room, member }),
        2 => (room.clone(), member.clone(), member.clone())
            .prop_map(|(room, by, member)| Act::Remove { room, by, member }),
        20 => (room.clone(), member.clone()).prop_map(|(room, member)| Act::Send { room, member }),
        5 => (room.clone(), member.clone(), seq.clone()).prop_map(|(room, member, seq)| Act::Edit { room, member, seq }),
        5 => (room.clone(), member.clone(), seq.clone())
            .prop_map(|(room, member, seq)| Act::Delete { room, member, seq }),
        6 => (room, member, seq).prop_map(|(room, member, seq)| Act::Read { room, member, seq }),
    ]
}

async fn check(backend: Backend, events: Vec<Event>, cuts: Vec<usize>, world: &World) {
    let bench = Bench::new(backend);
    let running = bench.start().await;
    let mut rest = events.as_slice();
    for cut in cuts {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        bench.log.write(now.to_vec());
        bench.settle(&running.models).await;
        rest = later;
    }
    bench.log.write(rest.to_vec());
    bench.settle(&running.models).await;

    // `verify` folds the whole log in one batch.
    let mut differences = Vec::new();
    let admin = running.models.admin();
    admin.verify(&admin.names(), &mut |_| {}, &mut |difference| differences.push(difference)).await.unwrap();
    assert!(differences.is_empty(), "{differences:#?}");

    let model = Model::of(&events);
    for (room, aggregate) in &world.rooms {
        let history = running.models.history().messages(*room, Range::After(0), 1_000).await.unwrap();
        assert_eq!(history, model.history(*room));
        let view = running.models.rooms().room(*room).await.unwrap().unwrap();
        assert_eq!(view.last_seq, aggregate.last_seq());
        assert_eq!(view.member_count, aggregate.members().len() as u64);
        let inside = running.models.rooms().members(*room, None, 1_000).await.unwrap();
        let ids: Vec<_> = inside.items.iter().map(|member| member.member_id).collect();
        assert_eq!(ids, model.inside[room], "longest-standing first");
        for member in &inside.items {
            assert_eq!(member.role, aggregate.members()[&member.member_id].role);
        }
    }
    for member in world.members.keys() {
        let mut found: Vec<UnreadView> = running.models.unread().unread(*member).await.unwrap().rooms;
        found.sort_by_key(|unread| unread.room_id);
        assert_eq!(found, model.unread(*member));
    }
    let messages = tables::number(&bench, "SELECT COUNT(*) FROM message_history").await;
    assert_eq!(messages, world.rooms.values().map(|room| room.last_seq() as i64).sum::<i64>());
    running.stop().await;
}

fn any_cut_gives_the_same_tables(backend: Backend, acts: &[Act], cuts: Vec<usize>) {
    let mut world = World::default();
    for act in acts {
        world.act(act);
    }
    let events = world.take();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check(backend, events, cuts, &world));
}

mod sqlite {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn any_cut_gives_the_same_tables(acts in vec(act(), 1..200), cuts in vec(0..40_usize, 0..8)) {
            super::any_cut_gives_the_same_tables(Backend::Sqlite, &acts, cuts);
        }
    }
}

mod mysql {
    use super::*;

    proptest! {
        // A server and a database of its own for each: fewer.
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        #[test]
        fn any_cut_gives_the_same_tables(acts in vec(act(), 1..200), cuts in vec(0..40_usize, 0..8)) {
            super::any_cut_gives_the_same_tables(Backend::MySql, &acts, cuts);
        }
    }
}
