use super::{Readers, page_size, rows};
use crate::{entities::message, values};
use async_trait::async_trait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use verbatim_application::{
    ports::{HistoryReader, Range, ReadError},
    views::MessageView,
};
use verbatim_domain::RoomId;
use verbatim_migrations::read_models::MESSAGE_HISTORY;

/// A message number for SQL. Beyond what a column can hold there are no messages anyway.
fn seq(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A page, newest first except for [`Range::After`]. One walk along the primary key from where the page starts: how deep
/// that is does not matter.
pub(super) fn page(room: RoomId, range: Range, limit: usize) -> Select<message::Entity> {
    let in_room = message::Entity::find().filter(message::Column::RoomId.eq(values::id(room.as_uuid())));
    let select = match range {
        Range::Newest => in_room.order_by_desc(message::Column::Seq),
        Range::Before(before) => {
            in_room.filter(message::Column::Seq.lt(seq(before))).order_by_desc(message::Column::Seq)
        }
        Range::After(after) => {
            in_room.filter(message::Column::Seq.gt(seq(after))).order_by_asc(message::Column::Seq)
        }
    };
    select.limit(rows(page_size(limit)))
}

pub(super) fn one(room: RoomId, number: u64) -> Select<message::Entity> {
    message::Entity::find_by_id((room.to_string(), seq(number)))
}

#[async_trait]
impl HistoryReader for Readers {
    async fn messages(
        &self,
        room: RoomId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<MessageView>, ReadError> {
        self.read(&[&MESSAGE_HISTORY], move |db| async move {
            let mut found = page(room, range, limit).all(&db).await?;
            if !matches!(range, Range::After(_)) {
                found.reverse();
            }
            found.into_iter().map(MessageView::try_from).collect()
        })
        .await
    }

    async fn message(&self, room: RoomId, number: u64) -> Result<Option<MessageView>, ReadError> {
        self.read(&[&MESSAGE_HISTORY], move |db| async move {
            let found = one(room, number).one(&db).await?;
            found.map(MessageView::try_from).transpose()
        })
        .await
    }
}
