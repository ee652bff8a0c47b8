use super::Readers;
use crate::{entities::unread_count, meta, values};
use async_trait::async_trait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use verbatim_application::{
    ports::{ReadError, UnreadReader, UnreadSnapshot},
    views::UnreadView,
};
use verbatim_domain::{MemberId, RoomId};
use verbatim_migrations::read_models::UNREAD;

/// How many rooms one query asks about.
const ROOMS_PER_QUERY: usize = 500;

#[async_trait]
impl UnreadReader for Readers {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        let of_member = unread_count::Column::MemberId.eq(values::id(member.as_uuid()));
        self.read(&[&UNREAD], async {
            let mut counts = Vec::with_capacity(rooms.len());
            for rooms in rooms.chunks(ROOMS_PER_QUERY) {
                let ids = rooms.iter().map(|room| values::id(room.as_uuid()));
                let select = unread_count::Entity::find()
                    .filter(of_member.clone())
                    .filter(unread_count::Column::RoomId.is_in(ids));
                let found = select.all(&self.shared.db.readers).await?;
                for row in found {
                    counts.push(UnreadView::try_from(row)?);
                }
            }
            Ok(counts)
        })
        .await
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        let of_member = unread_count::Column::MemberId.eq(values::id(member.as_uuid()));
        self.read(&[&UNREAD], async {
            // Position and counts out of one state: a push after the position changes these very counts.
            let db = self.shared.db.begin_read().await?;
            let position = meta::load_one(&db, UNREAD.name).await?.active()?.position;
            let found = unread_count::Entity::find().filter(of_member).all(&db).await?;
            db.rollback().await?;
            let rooms = found.into_iter().map(UnreadView::try_from).collect::<Result<_, _>>()?;
            Ok(UnreadSnapshot { position, rooms })
        })
        .await
    }
}
