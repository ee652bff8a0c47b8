use super::Readers;
use crate::{db::begin_read, entities::unread_count, meta, values};
use async_trait::async_trait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Select};
use verbatim_application::{
    ports::{ReadError, UnreadReader, UnreadSnapshot},
    views::UnreadView,
};
use verbatim_domain::{MemberId, RoomId};
use verbatim_migrations::read_models::UNREAD;

/// How many rooms one query asks about.
const ROOMS_PER_QUERY: usize = 500;

/// All counts of a member.
pub(super) fn of_member(member: MemberId) -> Select<unread_count::Entity> {
    unread_count::Entity::find().filter(unread_count::Column::MemberId.eq(values::id(member.as_uuid())))
}

/// The counts of a member in some rooms.
pub(super) fn in_rooms(member: MemberId, rooms: &[RoomId]) -> Select<unread_count::Entity> {
    let ids = rooms.iter().map(|room| values::id(room.as_uuid()));
    of_member(member).filter(unread_count::Column::RoomId.is_in(ids))
}

#[async_trait]
impl UnreadReader for Readers {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        let queries: Vec<_> = rooms.chunks(ROOMS_PER_QUERY).map(|rooms| in_rooms(member, rooms)).collect();
        self.read(&[&UNREAD], move |db| async move {
            let mut counts = Vec::new();
            for query in queries {
                for row in query.all(&db).await? {
                    counts.push(UnreadView::try_from(row)?);
                }
            }
            Ok(counts)
        })
        .await
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        self.read(&[&UNREAD], move |db| async move {
            // Position and counts out of one state: a push after the position changes these very counts. The counts come
            // first, because MySQL shows a view as it is when it is asked, and from then on keeps it.
            let db = begin_read(db).await?;
            let found = of_member(member).all(&db).await?;
            let position = meta::load_one(&db, UNREAD.name).await?.active()?.position;
            db.rollback().await?;
            let rooms = found.into_iter().map(UnreadView::try_from).collect::<Result<_, _>>()?;
            Ok(UnreadSnapshot { position, rooms })
        })
        .await
    }
}
