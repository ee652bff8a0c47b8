use super::{NOBODY, NULL};
use crate::{
    bulk,
    db::Database,
    dialect,
    readers::{cursor, history, members, rooms, unread},
};
use sea_orm::{DbBackend, QueryTrait, Value};
use verbatim_application::ports::Range;

/// What SQLite is going to do, a step a line.
async fn plan(sql: &str, values: Vec<Value>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("read.db").display());
    let db = Database::connect(&url).await.unwrap();
    let rows = bulk::query(&db.reader(), format!("EXPLAIN QUERY PLAN {sql}"), values).await.unwrap();
    rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect()
}

async fn plan_of(select: impl QueryTrait) -> Vec<String> {
    let statement = select.build(DbBackend::Sqlite);
    plan(&statement.sql, statement.values.map(|values| values.0).unwrap_or_default()).await
}

/// No table is read whole and nothing is sorted.
fn assert_walks_a_key(plan: &[String]) {
    let searches = |step: &String| {
        step.starts_with("SEARCH ") && (step.contains("USING PRIMARY KEY") || step.contains("USING INDEX"))
            || step.starts_with("CORRELATED SCALAR SUBQUERY")
    };
    assert!(!plan.is_empty() && plan.iter().all(searches), "{plan:#?}");
}

#[tokio::test]
async fn history_walks_the_primary_key() {
    for range in [Range::Newest, Range::Before(1_000_000), Range::After(1_000_000)] {
        let plan = plan_of(history::page(NULL, range, 50)).await;
        assert_walks_a_key(&plan);
        assert!(plan[0].starts_with("SEARCH m USING PRIMARY KEY (room_id=?"), "{plan:#?}");
    }
    assert_walks_a_key(&plan_of(history::one(NULL, 7)).await);
}

#[tokio::test]
async fn unread_counts_start_from_the_member() {
    let plan = plan_of(unread::of_member(NOBODY)).await;
    assert_walks_a_key(&plan);
    assert!(plan[0].starts_with("SEARCH c USING PRIMARY KEY (member_id=?"), "{plan:#?}");
    assert_walks_a_key(&plan_of(unread::in_rooms(NOBODY, &[NULL, NULL])).await);
}

#[tokio::test]
async fn unread_counts_of_pairs_look_up_each() {
    let pairs = dialect::pairs_in(DbBackend::Sqlite, ("member_id", "room_id"), 3);
    let values = vec![Value::from("x"); 6];
    let plan = plan(&format!("SELECT unread FROM unread_counts WHERE {pairs}"), values).await;
    assert!(plan[0].starts_with("SEARCH c USING PRIMARY KEY (member_id=? AND room_id=?"), "{plan:#?}");
    assert!(!plan.iter().any(|step| step.starts_with("SCAN c") || step.starts_with("SCAN h")), "{plan:#?}");
}

#[tokio::test]
async fn messages_of_pairs_look_up_each() {
    let pairs = dialect::pairs_in(DbBackend::Sqlite, ("room_id", "seq"), 3);
    let plan = plan(&format!("SELECT body FROM messages WHERE {pairs}"), vec![Value::from("x"); 6]).await;
    assert!(plan[0].starts_with("SEARCH m USING PRIMARY KEY (room_id=? AND seq=?"), "{plan:#?}");
}

#[tokio::test]
async fn discovery_walks_its_index() {
    let cursor = cursor::encode(rooms::DISCOVER, ["2026-07-01T00:00:00.000000Z", &NULL.to_string()]);
    for cursor in [None, Some(cursor.as_str())] {
        assert_walks_a_key(&plan_of(rooms::open_rooms(cursor, 50).unwrap()).await);
    }
}

#[tokio::test]
async fn members_of_a_room_come_in_order() {
    let values = vec!["x".into(), 0.into(), 0.into(), "".into(), 51.into()];
    assert_walks_a_key(&plan(rooms::MEMBERS_SQL, values).await);
}

#[tokio::test]
async fn rooms_of_a_member_are_sorted_before_their_messages_are_looked_up() {
    let values = vec!["x".into(), "~".into(), "~".into(), "".into(), 51.into()];
    let plan = plan(rooms::ROOMS_OF_SQL, values).await;
    // The member's rooms are sorted by activity; nothing else is read whole but that page.
    let scans: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN")).collect();
    assert_eq!(scans, ["SCAN p"], "{plan:#?}");
    assert!(plan.iter().any(|step| step.contains("room_members_v1_by_member")), "{plan:#?}");
    assert!(
        plan.iter().any(|step| step.starts_with("SEARCH m USING PRIMARY KEY (room_id=? AND seq=?)")),
        "{plan:#?}"
    );
}

#[tokio::test]
async fn the_directory_is_read_in_order() {
    let cursor = cursor::encode(members::SEARCH, ["ann", &NULL.to_string()]);
    // A part of a name may stand anywhere: the index is read along until the page is full.
    let first = plan_of(members::page("nn", None, 50).unwrap()).await;
    assert_eq!(first, ["SCAN m USING INDEX members_v1_by_name"]);
    assert_walks_a_key(&plan_of(members::page("nn", Some(&cursor), 50).unwrap()).await);
}
