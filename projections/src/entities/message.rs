//! View `message_history`.

use crate::values;
use sea_orm::entity::prelude::*;
use verbatim_application::views::MessageView;

/// One message, with what its sender is called now.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_history")]
pub struct Model {
    /// UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub room_id: String,
    /// Its number in the room, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// UUID.
    pub message_id: String,
    /// UUID.
    pub sender_id: String,
    /// Empty for one who is not known.
    pub sender_name: String,
    /// Empty once deleted.
    pub body: String,
    /// RFC 3339.
    pub sent_at: String,
    /// RFC 3339.
    pub edited_at: Option<String>,
    /// Whether it was taken back.
    pub deleted: bool,
}

/// None are followed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for MessageView {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            message_id: values::parse_id(&row.message_id)?,
            room_id: values::parse_id(&row.room_id)?,
            seq: values::unsigned(row.seq),
            sender_id: values::parse_id(&row.sender_id)?,
            sender_name: row.sender_name,
            body: row.body,
            sent_at: values::parse_moment(&row.sent_at)?,
            edited_at: row.edited_at.as_deref().map(values::parse_moment).transpose()?,
            deleted: row.deleted,
        })
    }
}
