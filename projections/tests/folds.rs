//! Given events, then rows: what each projection makes of each kind of event, seen through the views.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, Running, tables,
    world::{Act, World},
};

/// What the views show after these acts, each run as a batch of its own, and all as one batch.
async fn after(backend: Backend, acts: &[Act], queries: &[&str]) -> Vec<Vec<String>> {
    let apart = Bench::new(backend);
    let running = apart.start().await;
    let mut world = World::default();
    let mut all = Vec::new();
    for act in acts {
        world.act(act);
        let events = world.take();
        all.extend(events.clone());
        apart.log.write(events);
        apart.settle(&running.models).await;
    }
    let together = Bench::new(backend);
    together.log.write(all);
    let also: Running = together.start().await;
    together.settle(&also.models).await;
    let mut found = Vec::new();
    for sql in queries {
        let rows = tables::texts(&apart, sql).await;
        assert_eq!(rows, tables::texts(&together, sql).await, "however the log is cut into batches: {sql}");
        found.push(rows);
    }
    found
}

const ROOM: &str = "SELECT kind || ' ' || COALESCE(name, '-') || ' members ' || member_count || ' last ' || last_seq || \
                    ' closed ' || closed FROM rooms ORDER BY created_at";
const INSIDE: &str = "SELECT m.display_name || ' ' || rm.role FROM room_members rm \
                      JOIN members m ON m.member_id = rm.member_id ORDER BY rm.joined_position, m.display_name";
const HISTORY: &str = "SELECT seq || ' ' || sender_name || ': ' || body || ' ' || (edited_at IS NOT NULL) || ' ' || deleted \
                       FROM message_history ORDER BY room_id, seq";
const UNREAD: &str = "SELECT m.display_name || ' ' || u.unread || ' of ' || u.last_seq || ' after ' || u.read_seq \
                      FROM unread_counts u JOIN members m ON m.member_id = u.member_id ORDER BY 1";

async fn the_last_owner_hands_over_and_the_last_member_closes(backend: Backend) {
    let acts = [
        Act::Register,
        Act::Register,
        Act::Create { member: 0 },
        Act::Join { room: 0, member: 1 },
        Act::Leave { room: 0, member: 0 },
    ];
    let found = after(backend, &acts, &[ROOM, INSIDE]).await;
    assert_eq!(found, [["group Room 0 members 1 last 0 closed 0"], ["Member 1 owner"]]);
    let acts = [&acts[..], &[Act::Leave { room: 0, member: 1 }]].concat();
    let found = after(backend, &acts, &[ROOM, INSIDE, UNREAD]).await;
    assert_eq!(found, [vec!["group Room 0 members 0 last 0 closed 1"], vec![], vec![]]);
}

async fn a_direct_room_has_two_members_and_no_name(backend: Backend) {
    let acts =
        [Act::Register, Act::Register, Act::Direct { member: 0, other: 1 }, Act::Send { room: 0, member: 0 }];
    let found = after(backend, &acts, &[ROOM, INSIDE, UNREAD]).await;
    assert_eq!(found[0], ["direct - members 2 last 1 closed 0"]);
    assert_eq!(found[1], ["Member 0 member", "Member 1 member"]);
    assert_eq!(found[2], ["Member 0 0 of 1 after 1", "Member 1 1 of 1 after 0"]);
}

async fn messages_are_edited_deleted_and_shown_under_the_name_of_now(backend: Backend) {
    let acts = [
        Act::Register,
        Act::Create { member: 0 },
        Act::Send { room: 0, member: 0 },
        Act::Send { room: 0, member: 0 },
        Act::Send { room: 0, member: 0 },
        Act::Edit { room: 0, member: 0, seq: 0 },
        Act::Edit { room: 0, member: 0, seq: 1 },
        Act::Delete { room: 0, member: 0, seq: 1 },
        Act::Rename { member: 0, name: 7 },
    ];
    let found = after(backend, &acts, &[HISTORY, ROOM]).await;
    assert_eq!(
        found[0],
        ["1 Name 7: edited at 9 1 0", "2 Name 7:  1 1", "3 Name 7: said at 8 — naïve ✓ 0 0"]
    );
    assert_eq!(found[1], ["group Room 0 members 1 last 3 closed 0"]);
}

async fn unread_counts_follow_reading_sending_deleting_and_coming_back(backend: Backend) {
    let mut acts = vec![
        Act::Register,
        Act::Register,
        Act::Register,
        Act::Create { member: 0 },
        Act::Join { room: 0, member: 1 },
        Act::Send { room: 0, member: 0 },
        Act::Send { room: 0, member: 0 },
        Act::Join { room: 0, member: 2 },
        Act::Send { room: 0, member: 0 },
    ];
    let found = after(backend, &acts, &[UNREAD]).await;
    assert_eq!(found[0], ["Member 0 0 of 3 after 3", "Member 1 3 of 3 after 0", "Member 2 1 of 3 after 2"]);
    acts.extend([
        Act::Read { room: 0, member: 1, seq: 2 },
        // One that everybody has read, one that some have not.
        Act::Delete { room: 0, member: 0, seq: 0 },
        Act::Delete { room: 0, member: 0, seq: 2 },
    ]);
    let found = after(backend, &acts, &[UNREAD]).await;
    assert_eq!(found[0], ["Member 0 0 of 3 after 3", "Member 1 0 of 3 after 2", "Member 2 0 of 3 after 2"]);
    acts.extend([
        Act::Leave { room: 0, member: 1 },
        Act::Send { room: 0, member: 2 },
        Act::Send { room: 0, member: 0 },
        Act::Join { room: 0, member: 1 },
        Act::Send { room: 0, member: 2 },
    ]);
    let found = after(backend, &acts, &[UNREAD]).await;
    assert_eq!(found[0], ["Member 0 1 of 6 after 5", "Member 1 1 of 6 after 5", "Member 2 0 of 6 after 6"]);
}

async fn members_change_names_and_roles(backend: Backend) {
    let acts = [Act::Register, Act::Register, Act::Rename { member: 1, name: 3 }, Act::Promote { member: 0 }];
    let sql = "SELECT display_name || ' ' || search_key || ' ' || role FROM members ORDER BY display_name";
    let found = after(backend, &acts, &[sql, "SELECT display_name FROM message_senders ORDER BY 1"]).await;
    assert_eq!(found[0], ["Member 0 member 0 admin", "Name 3 name 3 member"]);
    assert_eq!(found[1], ["Member 0", "Name 3"]);
}

async fn a_room_sorts_by_its_last_message_or_else_by_its_opening(backend: Backend) {
    let acts = [
        Act::Register,
        Act::Create { member: 0 },
        Act::Create { member: 0 },
        Act::Send { room: 0, member: 0 },
    ];
    let sql = "SELECT name || ' ' || (last_activity_at = created_at) FROM rooms ORDER BY last_activity_at";
    assert_eq!(after(backend, &acts, &[sql]).await, [["Room 1 1", "Room 0 0"]]);
}

on_each_database! {
    the_last_owner_hands_over_and_the_last_member_closes,
    a_direct_room_has_two_members_and_no_name,
    messages_are_edited_deleted_and_shown_under_the_name_of_now,
    unread_counts_follow_reading_sending_deleting_and_coming_back,
    members_change_names_and_roles,
    a_room_sorts_by_its_last_message_or_else_by_its_opening,
}
