use super::Readers;
use crate::{entities::unread_count, meta, values};
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
        self.read(&[&UNREAD], async {
            let mut counts = Vec::with_capacity(rooms.len());
            for rooms in rooms.chunks(ROOMS_PER_QUERY) {
                for row in in_rooms(member, rooms).all(&self.shared.db.readers).await? {
                    counts.push(UnreadView::try_from(row)?);
                }
            }
            Ok(counts)
        })
        .await
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        self.read(&[&UNREAD], async {
            // Position and counts out of one state: a push after the position changes these very counts.
            let db = self.shared.db.begin_read().await?;
            let position = meta::load_one(&db, UNREAD.name).await?.active()?.position;
            let found = of_member(member).all(&db).await?;
            db.rollback().await?;
            let rooms = found.into_iter().map(UnreadView::try_from).collect::<Result<_, _>>()?;
            Ok(UnreadSnapshot { position, rooms })
        })
        .await
    }
}
