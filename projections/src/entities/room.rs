//! View `rooms`.

use crate::values;
use sea_orm::entity::prelude::*;
use verbatim_application::views::RoomView;

/// One room.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rooms")]
pub struct Model {
    /// UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room_id: String,
    /// `group` or `direct`.
    pub kind: String,
    /// Direct rooms have none.
    pub name: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// How many are in it.
    pub member_count: i64,
    /// Number of its last message, 0 for none.
    pub last_seq: i64,
    /// RFC 3339: when its last message was sent, or else when it was opened.
    pub last_activity_at: String,
    /// Whether it is shut for good.
    pub closed: bool,
}

/// None are followed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for RoomView {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            room_id: values::parse_id(&row.room_id)?,
            kind: values::parse_room_kind(&row.kind)?,
            name: row.name,
            member_count: values::unsigned(row.member_count),
            last_seq: values::unsigned(row.last_seq),
            created_at: values::parse_moment(&row.created_at)?,
        })
    }
}
