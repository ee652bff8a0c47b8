use super::{Readers, cursor, page_size, paged, rows};
use crate::{bulk, entities::room, values};
use async_trait::async_trait;
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, Select,
    Value, sea_query::ExprTrait,
};
use verbatim_application::{
    ports::{Page, ReadError, RoomReader},
    views::{MessageView, MyRoomView, RoomMemberView, RoomView},
};
use verbatim_domain::{MemberId, RoomId};
use verbatim_migrations::read_models::{MEMBERS, MESSAGE_HISTORY, ROOMS};

/// Names the list in its cursors.
pub(super) const DISCOVER: &str = "rooms.discover";
const MEMBERS_OF: &str = "rooms.members";
const ROOMS_OF: &str = "rooms.of";

/// Members of a room by arrival, from a key on.
pub(super) const MEMBERS_SQL: &str = "\
SELECT rm.member_id, COALESCE(m.display_name, '') AS display_name, rm.role, rm.joined_at, rm.joined_position
FROM room_members rm
LEFT JOIN members m ON m.member_id = rm.member_id
WHERE rm.room_id = ? AND rm.joined_position >= ? AND (rm.joined_position > ? OR rm.member_id > ?)
ORDER BY rm.joined_position, rm.member_id
LIMIT ?";

/// Rooms of a member by activity, back from a key, with the last message of each. The page is cut before the messages
/// are looked up, and the names come straight from their view: inside another view on the right of a LEFT JOIN a join
/// would be computed whole.
pub(super) const ROOMS_OF_SQL: &str = "\
SELECT p.room_id, p.kind, p.name, p.created_at, p.member_count, p.last_seq, p.last_activity_at,
       l.seq AS seq, l.message_id, l.sender_id, COALESCE(s.display_name, '') AS sender_name, l.body, l.sent_at,
       l.edited_at, l.deleted
FROM (SELECT r.room_id, r.kind, r.name, r.created_at, r.member_count, r.last_seq, r.last_activity_at
      FROM room_members rm
      JOIN rooms r ON r.room_id = rm.room_id
      WHERE rm.member_id = ?
        AND r.last_activity_at <= ? AND (r.last_activity_at < ? OR r.room_id < ?)
      ORDER BY r.last_activity_at DESC, r.room_id DESC
      LIMIT ?) p
LEFT JOIN messages l ON l.room_id = p.room_id AND l.seq = p.last_seq
LEFT JOIN message_senders s ON s.member_id = l.sender_id
ORDER BY p.last_activity_at DESC, p.room_id DESC";

/// Sorts after every moment: where the list of the latest starts.
const AFTER_ALL_MOMENTS: &str = "~";

/// A page of the open group rooms, newest first, one row longer than asked for.
pub(super) fn open_rooms(cursor: Option<&str>, size: usize) -> Result<Select<room::Entity>, ReadError> {
    let mut select =
        room::Entity::find().filter(room::Column::Kind.eq("group")).filter(room::Column::Closed.eq(false));
    if let Some(cursor) = cursor {
        let (at, id) = cursor::decode_moment(DISCOVER, cursor)?;
        let same = room::Column::CreatedAt.eq(at.clone()).and(room::Column::RoomId.lt(id));
        select = select
            .filter(room::Column::CreatedAt.lte(at.clone()))
            .filter(Condition::any().add(room::Column::CreatedAt.lt(at)).add(same));
    }
    let newest = select.order_by_desc(room::Column::CreatedAt).order_by_desc(room::Column::RoomId);
    Ok(newest.limit(rows(size + 1)))
}

#[async_trait]
impl RoomReader for Readers {
    async fn room(&self, room: RoomId) -> Result<Option<RoomView>, ReadError> {
        let select = room::Entity::find().filter(room::Column::RoomId.eq(values::id(room.as_uuid())));
        self.read(
            &[&ROOMS],
            move |db| async move { select.one(&db).await?.map(RoomView::try_from).transpose() },
        )
        .await
    }

    async fn discover(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RoomView>, ReadError> {
        let size = page_size(limit);
        let select = open_rooms(cursor, size)?;
        self.read(&[&ROOMS], move |db| async move {
            let found = select.all(&db).await?;
            let cursor = |row: &room::Model| cursor::encode(DISCOVER, [&row.created_at, &row.room_id]);
            paged(found, size, cursor, RoomView::try_from)
        })
        .await
    }

    async fn members(
        &self,
        room: RoomId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RoomMemberView>, ReadError> {
        let size = page_size(limit);
        let (position, id) = match cursor {
            Some(cursor) => cursor::decode_number(MEMBERS_OF, cursor)?,
            None => (0, String::new()),
        };
        let values: Vec<Value> = vec![
            values::id(room.as_uuid()),
            position.into(),
            position.into(),
            id.into(),
            values::number(rows(size + 1)),
        ];
        self.read(&[&ROOMS, &MEMBERS], move |db| async move {
            let found = bulk::query(&db, MEMBERS_SQL, values).await?;
            let found = found.iter().map(member_row).collect::<Result<_, _>>()?;
            let cursor = |(position, view): &(i64, RoomMemberView)| {
                cursor::encode(MEMBERS_OF, [&position.to_string(), &view.member_id.to_string()])
            };
            paged(found, size, cursor, |(_, view)| Ok(view))
        })
        .await
    }

    async fn rooms_of(
        &self,
        member: MemberId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MyRoomView>, ReadError> {
        let size = page_size(limit);
        let (at, id) = match cursor {
            Some(cursor) => cursor::decode_moment(ROOMS_OF, cursor)?,
            None => (AFTER_ALL_MOMENTS.to_owned(), String::new()),
        };
        let values: Vec<Value> = vec![
            values::id(member.as_uuid()),
            at.clone().into(),
            at.into(),
            id.into(),
            values::number(rows(size + 1)),
        ];
        self.read(&[&ROOMS, &MESSAGE_HISTORY], move |db| async move {
            let found = bulk::query(&db, ROOMS_OF_SQL, values).await?;
            let found = found.iter().map(my_room_row).collect::<Result<_, _>>()?;
            let cursor = |(at, view): &(String, MyRoomView)| {
                cursor::encode(ROOMS_OF, [at, &view.room.room_id.to_string()])
            };
            paged(found, size, cursor, |(_, view)| Ok(view))
        })
        .await
    }
}

/// A member with the position of the arrival.
fn member_row(row: &QueryResult) -> Result<(i64, RoomMemberView), DbErr> {
    let view = RoomMemberView {
        member_id: values::id_of(row, "member_id")?,
        display_name: row.try_get("", "display_name")?,
        role: values::parse_room_role(&row.try_get::<String>("", "role")?)?,
        joined_at: values::parse_moment(&row.try_get::<String>("", "joined_at")?)?,
    };
    Ok((row.try_get("", "joined_position")?, view))
}

/// A room with the time of its last activity, as it stands in the row.
fn my_room_row(row: &QueryResult) -> Result<(String, MyRoomView), DbErr> {
    let room_id = values::id_of(row, "room_id")?;
    let room = RoomView {
        room_id,
        kind: values::parse_room_kind(&row.try_get::<String>("", "kind")?)?,
        name: row.try_get("", "name")?,
        member_count: values::number_of(row, "member_count")?,
        last_seq: values::number_of(row, "last_seq")?,
        created_at: values::parse_moment(&row.try_get::<String>("", "created_at")?)?,
    };
    let last_message = match row.try_get::<Option<i64>>("", "seq")? {
        None => None,
        Some(seq) => Some(MessageView {
            message_id: values::id_of(row, "message_id")?,
            room_id,
            seq: values::unsigned(seq),
            sender_id: values::id_of(row, "sender_id")?,
            sender_name: row.try_get("", "sender_name")?,
            body: row.try_get("", "body")?,
            sent_at: values::parse_moment(&row.try_get::<String>("", "sent_at")?)?,
            edited_at: match row.try_get::<Option<String>>("", "edited_at")? {
                Some(at) => Some(values::parse_moment(&at)?),
                None => None,
            },
            deleted: row.try_get("", "deleted")?,
        }),
    };
    let view = MyRoomView { room, unread: 0, read_seq: 0, last_message };
    Ok((row.try_get("", "last_activity_at")?, view))
}
