//! `unread`: what it takes to count unread messages. A message costs one room head and one cursor, however many
//! members the room has.

use crate::{
    Changes, Projection,
    bulk::{self, Upsert},
    dialect::OnConflict,
    values,
};
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr, Value};
use std::collections::{BTreeMap, BTreeSet};
use verbatim_application::{
    codec::{Envelope, Event},
    push::{Change, Push},
    views::UnreadView,
};
use verbatim_domain::{MemberId, RoomId, read_cursor::ReadCursorEvent, room::RoomEvent};
use verbatim_migrations::read_models::{ReadModel, UNREAD, physical};

/// Room heads, deleted messages and the cursors of members.
#[derive(Debug, Clone, Copy)]
pub struct Unread;

/// What happened to one member's cursor in one room. The read number only grows; coming and going is kept apart from
/// it, so that batches can be cut anywhere.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub read_seq: u64,
    /// Whether the member came (true) or went (false), if either.
    pub joined: Option<bool>,
}

/// What a batch changes, whatever the counts are kept in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnreadChanges {
    pub heads: BTreeMap<RoomId, u64>,
    pub deleted: BTreeSet<(RoomId, u64)>,
    pub cursors: BTreeMap<(MemberId, RoomId), Cursor>,
}

impl UnreadChanges {
    pub(crate) fn of(events: &[Envelope]) -> Self {
        let mut changes = Self::default();
        for envelope in events {
            match &envelope.event {
                Event::Room(event) => changes.room(event),
                Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced {
                    room_id, member_id, seq, ..
                }) => {
                    changes.cursor(*member_id, *room_id, *seq, None);
                }
                Event::Member(_) | Event::Email(_) => {}
            }
        }
        changes
    }

    fn room(&mut self, event: &RoomEvent) {
        use RoomEvent as E;
        match event {
            E::GroupRoomCreated { room_id, creator, .. } => {
                self.head(*room_id, 0);
                self.cursor(*creator, *room_id, 0, Some(true));
            }
            E::DirectRoomOpened { room_id, members, .. } => {
                self.head(*room_id, 0);
                for member in members {
                    self.cursor(*member, *room_id, 0, Some(true));
                }
            }
            E::MemberJoined { room_id, member_id, at_seq, .. } => {
                self.cursor(*member_id, *room_id, *at_seq, Some(true));
            }
            E::MemberLeft { room_id, member_id, .. } => self.cursor(*member_id, *room_id, 0, Some(false)),
            E::MessageSent { room_id, seq, sender_id, .. } => {
                self.head(*room_id, *seq);
                self.cursor(*sender_id, *room_id, *seq, None);
            }
            E::MessageDeleted { room_id, seq, .. } => {
                self.deleted.insert((*room_id, *seq));
            }
            E::RoomRoleChanged { .. } | E::RoomClosed { .. } | E::MessageEdited { .. } => {}
        }
    }

    fn head(&mut self, room: RoomId, seq: u64) {
        let head = self.heads.entry(room).or_default();
        *head = seq.max(*head);
    }

    fn cursor(&mut self, member: MemberId, room: RoomId, read_seq: u64, joined: Option<bool>) {
        let cursor = self.cursors.entry((member, room)).or_default();
        cursor.read_seq = read_seq.max(cursor.read_seq);
        cursor.joined = joined.or(cursor.joined);
    }
}

#[async_trait]
impl Projection for Unread {
    fn model(&self) -> &'static ReadModel {
        &UNREAD
    }

    fn fold(&self, events: &[Envelope]) -> Box<dyn Changes> {
        Box::new(UnreadChanges::of(events))
    }

    async fn pushes(&self, events: &[Envelope], db: &DatabaseTransaction) -> Result<Vec<Push>, DbErr> {
        read_pushes(events, db).await
    }
}

#[async_trait]
impl Changes for UnreadChanges {
    async fn write(self: Box<Self>, db: &DatabaseTransaction, version: i32) -> Result<(), DbErr> {
        let room_and_seq = |(room, seq): (RoomId, u64)| [values::id(room.as_uuid()), values::number(seq)];
        let heads = Upsert {
            table: &physical("unread_heads", version),
            columns: &["room_id", "last_seq"],
            key: &["room_id"],
            updates: &[("last_seq", OnConflict::Greatest)],
        };
        heads.write(db, self.heads.into_iter().flat_map(room_and_seq).collect()).await?;

        let deleted = Upsert {
            table: &physical("unread_deleted", version),
            columns: &["room_id", "seq"],
            key: &["room_id", "seq"],
            updates: &[],
        };
        deleted.write(db, self.deleted.into_iter().flat_map(room_and_seq).collect()).await?;

        let (mut moved, mut came_or_went) = (Vec::new(), Vec::new());
        for ((member, room), cursor) in self.cursors {
            // One who only read keeps coming and going as it is; a row that is new then belongs to nobody inside.
            let values = if cursor.joined.is_some() { &mut came_or_went } else { &mut moved };
            values.push(values::id(member.as_uuid()));
            values.push(values::id(room.as_uuid()));
            values.push(values::number(cursor.read_seq));
            values.push(Value::Bool(Some(cursor.joined.unwrap_or(false))));
        }
        let mut updates = vec![("read_seq", OnConflict::Greatest)];
        for values in [moved, came_or_went] {
            let cursors = Upsert {
                table: &physical("unread_cursors", version),
                columns: &["member_id", "room_id", "read_seq", "joined"],
                key: &["member_id", "room_id"],
                updates: &updates,
            };
            cursors.write(db, values).await?;
            updates.push(("joined", OnConflict::Replace));
        }
        Ok(())
    }
}

async fn read_pushes(events: &[Envelope], db: &DatabaseTransaction) -> Result<Vec<Push>, DbErr> {
    let mut read = Vec::new();
    for envelope in events {
        if let Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced { room_id, member_id, .. }) =
            &envelope.event
        {
            read.push((envelope.position, *member_id, *room_id));
        }
    }
    let keys: BTreeSet<(MemberId, RoomId)> = read.iter().map(|(_, member, room)| (*member, *room)).collect();
    let keys = keys.iter().map(|(m, r)| [values::id(m.as_uuid()), values::id(r.as_uuid())]).collect();
    let columns = "member_id, room_id, last_seq, read_seq, unread";
    let rows = bulk::select_pairs(db, columns, "unread_counts", ("member_id", "room_id"), keys).await?;
    let mut counts = BTreeMap::new();
    for row in rows {
        let member: MemberId = values::id_of(&row, "member_id")?;
        let unread = UnreadView {
            room_id: values::id_of(&row, "room_id")?,
            unread: values::number_of(&row, "unread")?,
            last_seq: values::number_of(&row, "last_seq")?,
            read_seq: values::number_of(&row, "read_seq")?,
        };
        counts.insert((member, unread.room_id), unread);
    }
    // One who has left meanwhile has no counts there any more, and is told nothing.
    let push = |(position, member_id, room_id)| {
        let unread = *counts.get(&(member_id, room_id))?;
        Some(Push::new(position, room_id, Change::Read { member_id, unread }))
    };
    Ok(read.into_iter().filter_map(push).collect())
}
