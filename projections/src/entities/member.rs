//! View `members`.

use crate::values;
use sea_orm::entity::prelude::*;
use verbatim_application::views::MemberView;

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "members")]
pub struct Model {
    /// UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub member_id: String,
    /// What the member is called.
    pub display_name: String,
    /// The same, composed and in lower case.
    pub search_key: String,
    /// `member` or `admin`.
    pub role: String,
    /// RFC 3339.
    pub registered_at: String,
}

/// None are followed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for MemberView {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self { member_id: values::parse_id(&row.member_id)?, display_name: row.display_name })
    }
}
