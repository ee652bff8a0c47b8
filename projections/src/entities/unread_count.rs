//! View `unread_counts`.

use crate::values;
use sea_orm::entity::prelude::*;
use verbatim_application::views::UnreadView;

/// What one member has not read in one room.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "unread_counts")]
pub struct Model {
    /// UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub member_id: String,
    /// UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room_id: String,
    /// Number of the room's last message.
    pub last_seq: i64,
    /// Number of the last message read.
    pub read_seq: i64,
    /// Messages not read and not deleted.
    pub unread: i64,
}

/// None are followed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for UnreadView {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            room_id: values::parse_id(&row.room_id)?,
            unread: values::unsigned(row.unread),
            last_seq: values::unsigned(row.last_seq),
            read_seq: values::unsigned(row.read_seq),
        })
    }
}
