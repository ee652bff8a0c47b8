//! `rooms`: rooms and who is in them.

use crate::{
    Changes, Projection,
    bulk::{self, Upsert},
    dialect::OnConflict,
    values,
};
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr, Value};
use std::collections::BTreeMap;
use verbatim_application::codec::{Envelope, Event};
use verbatim_domain::{
    MemberId, RoomId, Timestamp,
    room::{RoomEvent, RoomKind, RoomRole},
};
use verbatim_migrations::read_models::{ROOMS, ReadModel, physical};

/// Rooms and who is in them.
#[derive(Debug, Clone, Copy)]
pub struct Rooms;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Opened {
    kind: RoomKind,
    name: Option<String>,
    at: String,
}

/// What happened to one room.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct RoomChange {
    opened: Option<Opened>,
    /// How many more are in it.
    members: i64,
    /// The last message, and when it was sent.
    last: Option<(u64, Timestamp)>,
    closed: bool,
}

/// What happened to one member in one room, in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum MemberChange {
    Came { role: RoomRole, at: Timestamp, position: u64 },
    Became(RoomRole),
    Went,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct RoomChanges {
    rooms: BTreeMap<RoomId, RoomChange>,
    members: BTreeMap<(RoomId, MemberId), MemberChange>,
}

impl RoomChanges {
    fn of(events: &[Envelope]) -> Self {
        let mut changes = Self::default();
        for envelope in events {
            if let Event::Room(event) = &envelope.event {
                changes.apply(event, envelope.position);
            }
        }
        changes
    }

    fn apply(&mut self, event: &RoomEvent, position: u64) {
        use RoomEvent as E;
        match event {
            E::GroupRoomCreated { room_id, name, creator, at } => {
                self.open(*room_id, RoomKind::Group, Some(name.as_str().to_owned()), *at);
                self.came(*room_id, *creator, RoomRole::Owner, *at, position);
            }
            E::DirectRoomOpened { room_id, members, at } => {
                self.open(*room_id, RoomKind::Direct, None, *at);
                for member in members {
                    self.came(*room_id, *member, RoomRole::Member, *at, position);
                }
            }
            E::MemberJoined { room_id, member_id, at, .. } => {
                self.came(*room_id, *member_id, RoomRole::Member, *at, position);
            }
            E::MemberLeft { room_id, member_id, .. } => {
                self.room(*room_id).members -= 1;
                self.members.insert((*room_id, *member_id), MemberChange::Went);
            }
            E::RoomRoleChanged { room_id, member_id, role, .. } => {
                let key = (*room_id, *member_id);
                match self.members.get_mut(&key) {
                    Some(MemberChange::Came { role: had, .. } | MemberChange::Became(had)) => *had = *role,
                    Some(MemberChange::Went) => {}
                    None => {
                        self.members.insert(key, MemberChange::Became(*role));
                    }
                }
            }
            E::RoomClosed { room_id, .. } => self.room(*room_id).closed = true,
            E::MessageSent { room_id, seq, sent_at, .. } => {
                self.room(*room_id).last = Some((*seq, *sent_at));
            }
            E::MessageEdited { .. } | E::MessageDeleted { .. } => {}
        }
    }

    fn room(&mut self, room: RoomId) -> &mut RoomChange {
        self.rooms.entry(room).or_default()
    }

    fn open(&mut self, room: RoomId, kind: RoomKind, name: Option<String>, at: Timestamp) {
        self.room(room).opened = Some(Opened { kind, name, at: values::moment(at) });
    }

    fn came(&mut self, room: RoomId, member: MemberId, role: RoomRole, at: Timestamp, position: u64) {
        self.room(room).members += 1;
        self.members.insert((room, member), MemberChange::Came { role, at, position });
    }
}

#[async_trait]
impl Projection for Rooms {
    fn model(&self) -> &'static ReadModel {
        &ROOMS
    }

    fn fold(&self, events: &[Envelope]) -> Box<dyn Changes> {
        Box::new(RoomChanges::of(events))
    }
}

/// A row of `rooms`.
struct Row {
    kind: String,
    name: Option<String>,
    created_at: String,
    member_count: i64,
    last_seq: i64,
    last_activity_at: String,
    closed: bool,
}

impl Row {
    fn opened(opened: &Opened) -> Self {
        Self {
            kind: values::room_kind(opened.kind).to_owned(),
            name: opened.name.clone(),
            created_at: opened.at.clone(),
            member_count: 0,
            last_seq: 0,
            last_activity_at: opened.at.clone(),
            closed: false,
        }
    }

    fn read(row: &sea_orm::QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            kind: row.try_get("", "kind")?,
            name: row.try_get("", "name")?,
            created_at: row.try_get("", "created_at")?,
            member_count: row.try_get("", "member_count")?,
            last_seq: row.try_get("", "last_seq")?,
            last_activity_at: row.try_get("", "last_activity_at")?,
            closed: row.try_get("", "closed")?,
        })
    }

    fn take(&mut self, change: &RoomChange) {
        self.member_count += change.members;
        if let Some((seq, at)) = change.last {
            self.last_seq = i64::try_from(seq).unwrap_or(i64::MAX);
            self.last_activity_at = values::moment(at);
        }
        self.closed |= change.closed;
    }

    fn into_values(self, room: RoomId) -> [Value; 8] {
        [
            values::id(room.as_uuid()),
            self.kind.into(),
            self.name.into(),
            self.created_at.into(),
            self.member_count.into(),
            self.last_seq.into(),
            self.last_activity_at.into(),
            self.closed.into(),
        ]
    }
}

const COLUMNS: [&str; 8] =
    ["room_id", "kind", "name", "created_at", "member_count", "last_seq", "last_activity_at", "closed"];

#[async_trait]
impl Changes for RoomChanges {
    async fn write(self: Box<Self>, db: &DatabaseTransaction, version: i32) -> Result<(), DbErr> {
        write_rooms(self.rooms, db, version).await?;
        write_members(self.members, db, version).await
    }
}

/// Rows that are there are read, changed and written back whole: two statements for the lot, in both dialects.
async fn write_rooms(
    changes: BTreeMap<RoomId, RoomChange>,
    db: &DatabaseTransaction,
    version: i32,
) -> Result<(), DbErr> {
    let table = physical("rooms", version);
    let known = changes.iter().filter(|(_, change)| change.opened.is_none());
    let known = known.map(|(room, _)| values::id(room.as_uuid())).collect();
    let mut rows: BTreeMap<RoomId, Row> = BTreeMap::new();
    for row in bulk::select_in(db, &COLUMNS.join(", "), &table, "room_id", known).await? {
        rows.insert(values::id_of(&row, "room_id")?, Row::read(&row)?);
    }
    let mut written = Vec::with_capacity(changes.len() * COLUMNS.len());
    for (room, change) in changes {
        let row = change.opened.as_ref().map(Row::opened).or_else(|| rows.remove(&room));
        let Some(mut row) = row else {
            // The aggregate makes such a history impossible; a log written by other hands could hold it.
            tracing::error!(room_id = %room, "an event of a room that was never opened");
            continue;
        };
        row.take(&change);
        written.extend(row.into_values(room));
    }
    let rooms = Upsert {
        table: &table,
        columns: &COLUMNS,
        key: &["room_id"],
        updates: &COLUMNS[1..].iter().map(|column| (*column, OnConflict::Replace)).collect::<Vec<_>>(),
    };
    rooms.write(db, written).await
}

async fn write_members(
    changes: BTreeMap<(RoomId, MemberId), MemberChange>,
    db: &DatabaseTransaction,
    version: i32,
) -> Result<(), DbErr> {
    let table = physical("room_members", version);
    let (mut came, mut became, mut went) = (Vec::new(), Vec::new(), Vec::new());
    for ((room, member), change) in changes {
        let (room, member) = (values::id(room.as_uuid()), values::id(member.as_uuid()));
        match change {
            MemberChange::Came { role, at, position } => came.extend([
                room,
                member,
                values::room_role(role).into(),
                values::moment(at).into(),
                values::number(position),
            ]),
            MemberChange::Became(role) => became.push((role, room, member)),
            MemberChange::Went => went.push([room, member]),
        }
    }
    let upsert = Upsert {
        table: &table,
        columns: &["room_id", "member_id", "role", "joined_at", "joined_position"],
        key: &["room_id", "member_id"],
        updates: &[
            ("role", OnConflict::Replace),
            ("joined_at", OnConflict::Replace),
            ("joined_position", OnConflict::Replace),
        ],
    };
    upsert.write(db, came).await?;
    // An owner who hands over is rare enough for a statement each.
    for (role, room, member) in became {
        let sql = format!("UPDATE {table} SET role = ? WHERE room_id = ? AND member_id = ?");
        bulk::execute(db, sql, vec![values::room_role(role).into(), room, member]).await?;
    }
    bulk::delete_pairs(db, &table, ("room_id", "member_id"), went).await
}
