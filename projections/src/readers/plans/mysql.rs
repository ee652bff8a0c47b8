use crate::{
    bulk::{self, Upsert},
    db::Database,
    dialect,
    readers::{cursor, history, members, rooms, unread},
};
use sea_orm::{DatabaseTransaction, DbBackend, QueryTrait, Value};
use uuid::Uuid;
use verbatim_application::ports::Range;
use verbatim_domain::{MemberId, RoomId};

/// How many rooms, members, and members and messages of each room there are.
const ROOMS: u128 = 40;
const MEMBERS: u128 = 5_000;
const INSIDE: u128 = 400;
const MESSAGES: i64 = 500;
/// What a page of 50 may read at most: itself, some names for each row, and where it begins.
const PAGE: u64 = 400;

fn member(n: u128) -> MemberId {
    MemberId::from_uuid(Uuid::from_u128(n % MEMBERS + 1))
}

fn room(n: u128) -> RoomId {
    RoomId::from_uuid(Uuid::from_u128((n % ROOMS + 1) << 64))
}

fn moment(n: i64) -> String {
    format!("2026-07-01T{:02}:{:02}:{:02}.000000Z", n / 3600 % 24, n / 60 % 60, n % 60)
}

async fn write(db: &DatabaseTransaction, table: &str, columns: &[&str], key: &[&str], values: Vec<Value>) {
    let updates: Vec<_> = columns[key.len()..].iter().map(|c| (*c, dialect::OnConflict::Replace)).collect();
    Upsert { table, columns, key, updates: &updates }.write(db, values).await.unwrap();
}

/// The first members are in every room.
async fn filled(db: &Database) {
    let txn = db.begin_write().await.unwrap();
    let id = |id: Uuid| Value::from(id.to_string());
    let (mut all, mut senders) = (Vec::new(), Vec::new());
    for n in 0..MEMBERS {
        let (me, name) = (id(member(n).as_uuid()), format!("member {n:06}"));
        senders.extend([me.clone(), name.clone().into()]);
        all.extend([me, name.clone().into(), name.into(), "member".into(), moment(0).into()]);
    }
    let columns = ["member_id", "display_name", "search_key", "role", "registered_at"];
    write(&txn, "members_v1", &columns, &["member_id"], all).await;
    write(&txn, "message_senders_v1", &["member_id", "display_name"], &["member_id"], senders).await;
    let (mut heads, mut opened, mut inside, mut cursors, mut said) = (vec![], vec![], vec![], vec![], vec![]);
    for n in 0..ROOMS {
        let here = id(room(n).as_uuid());
        heads.extend([here.clone(), MESSAGES.into()]);
        let name = Value::from(format!("room {n}"));
        let (at, count, last) = (moment(n as i64), INSIDE as i64, MESSAGES);
        opened.extend([here.clone(), "group".into(), name, at.clone().into(), count.into(), last.into()]);
        opened.extend([at.into(), false.into()]);
        for m in 0..INSIDE {
            let me = id(member(m).as_uuid());
            let (joined, position) = (moment(m as i64), m as i64 + 1);
            inside.extend([here.clone(), me.clone(), "member".into(), joined.into(), position.into()]);
            cursors.extend([me, here.clone(), (MESSAGES - 3).into(), true.into()]);
        }
        for seq in 1..=MESSAGES {
            let message = id(Uuid::from_u128((n + 1) << 64 | seq as u128));
            let sender = id(member(seq as u128).as_uuid());
            said.extend([here.clone(), seq.into(), message, sender, "said".into(), moment(seq).into()]);
            said.extend([Value::String(None), false.into()]);
        }
    }
    let columns =
        ["room_id", "kind", "name", "created_at", "member_count", "last_seq", "last_activity_at", "closed"];
    write(&txn, "rooms_v1", &columns, &["room_id"], opened).await;
    let columns = ["room_id", "member_id", "role", "joined_at", "joined_position"];
    write(&txn, "room_members_v1", &columns, &["room_id", "member_id"], inside).await;
    let columns = ["room_id", "seq", "message_id", "sender_id", "body", "sent_at", "edited_at", "deleted"];
    write(&txn, "messages_v1", &columns, &["room_id", "seq"], said).await;
    write(&txn, "unread_heads_v1", &["room_id", "last_seq"], &["room_id"], heads).await;
    let columns = ["member_id", "room_id", "read_seq", "joined"];
    write(&txn, "unread_cursors_v1", &columns, &["member_id", "room_id"], cursors).await;
    txn.commit().await.unwrap();
    for table in
        ["rooms", "room_members", "messages", "message_senders", "members", "unread_heads", "unread_cursors"]
    {
        bulk::query(&db.writer(), format!("ANALYZE TABLE {table}_v1"), vec![]).await.unwrap();
    }
}

/// How many rows the server has looked at for this connection.
async fn read(db: &DatabaseTransaction) -> u64 {
    let rows = bulk::query(db, "SHOW SESSION STATUS LIKE 'Handler_read%'", vec![]).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// How many rows a query looks at, and how many it gives.
async fn cost(db: &Database, sql: &str, values: Vec<Value>) -> (u64, usize) {
    let db = db.begin_read().await.unwrap();
    let own = read(&db).await;
    let own = read(&db).await - own;
    let before = read(&db).await;
    let found = bulk::query(&db, sql, values).await.unwrap().len();
    (read(&db).await - before - own, found)
}

async fn cost_of(db: &Database, select: impl QueryTrait) -> (u64, usize) {
    let statement = select.build(DbBackend::MySql);
    cost(db, &statement.sql, statement.values.map(|values| values.0).unwrap_or_default()).await
}

#[tokio::test]
async fn a_page_costs_what_is_on_it() {
    let server = verbatim_servers::mysql_database();
    let db = Database::connect(server.url()).await.unwrap();
    filled(&db).await;
    let mut costs: Vec<(&str, (u64, usize))> = Vec::new();
    for range in [Range::Newest, Range::Before(300), Range::After(300)] {
        costs.push(("history", cost_of(&db, history::page(room(7), range, 50)).await));
    }
    costs.push(("one message", cost_of(&db, history::one(room(7), 77)).await));
    costs.push(("unread", cost_of(&db, unread::of_member(member(9))).await));
    costs.push(("unread in two", cost_of(&db, unread::in_rooms(member(9), &[room(1), room(2)])).await));
    let pairs = dialect::pairs_in(DbBackend::MySql, ("member_id", "room_id"), 3);
    let values = (0..3).flat_map(|n| [member(n).to_string().into(), room(n).to_string().into()]).collect();
    costs.push((
        "unread of pairs",
        cost(&db, &format!("SELECT unread FROM unread_counts WHERE {pairs}"), values).await,
    ));
    let pairs = dialect::pairs_in(DbBackend::MySql, ("room_id", "seq"), 3);
    let values = (0..3).flat_map(|n| [room(n).to_string().into(), Value::from(n as i64 + 5)]).collect();
    costs.push((
        "messages of pairs",
        cost(&db, &format!("SELECT body FROM messages WHERE {pairs}"), values).await,
    ));
    let cursor = cursor::encode(rooms::DISCOVER, [&moment(20), &room(20).to_string()]);
    for cursor in [None, Some(cursor.as_str())] {
        costs.push(("discovery", cost_of(&db, rooms::open_rooms(cursor, 10).unwrap()).await));
    }
    let values = vec![room(3).to_string().into(), 200.into(), 200.into(), "".into(), 51.into()];
    costs.push(("members of a room", cost(&db, rooms::MEMBERS_SQL, values).await));
    let values = vec![member(3).to_string().into(), "~".into(), "~".into(), "".into(), 51.into()];
    costs.push(("rooms of a member", cost(&db, rooms::ROOMS_OF_SQL, values).await));
    let cursor = cursor::encode(members::SEARCH, ["member 000200", &member(200).to_string()]);
    for cursor in [None, Some(cursor.as_str())] {
        costs.push(("directory", cost_of(&db, members::page("0", cursor, 50).unwrap()).await));
    }
    assert!(costs.iter().all(|(_, (read, found))| *read < PAGE && *found > 0), "{costs:#?}");
}
