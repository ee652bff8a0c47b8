use super::{Readers, cursor, page_size, paged, rows};
use crate::{entities::member, projections::search_key, values};
use async_trait::async_trait;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Func},
};
use verbatim_application::{
    ports::{MemberReader, Page, ReadError},
    views::MemberView,
};
use verbatim_domain::MemberId;
use verbatim_migrations::read_models::MEMBERS;

/// Names the list in its cursors.
pub(super) const SEARCH: &str = "members.search";

/// A page of the search by name, one row longer than asked for.
pub(super) fn page(
    query: &str,
    cursor: Option<&str>,
    size: usize,
) -> Result<Select<member::Entity>, ReadError> {
    let mut select = member::Entity::find();
    let wanted = search_key(query);
    if !wanted.is_empty() {
        // Both sides are in lower case already; `instr` knows no wildcards that would need escaping.
        let key = Expr::col((member::Entity, member::Column::SearchKey));
        select = select.filter(Func::cust("instr").arg(key).arg(wanted).gt(0));
    }
    if let Some(cursor) = cursor {
        let (key, id) = cursor::decode(SEARCH, cursor)?;
        let same = member::Column::SearchKey.eq(key.clone()).and(member::Column::MemberId.gt(id));
        // The first condition alone lets the planner start at the page instead of reading up to it.
        select = select
            .filter(member::Column::SearchKey.gte(key.clone()))
            .filter(Condition::any().add(member::Column::SearchKey.gt(key)).add(same));
    }
    let by_name = select.order_by_asc(member::Column::SearchKey).order_by_asc(member::Column::MemberId);
    Ok(by_name.limit(rows(size + 1)))
}

#[async_trait]
impl MemberReader for Readers {
    async fn search(
        &self,
        query: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MemberView>, ReadError> {
        let size = page_size(limit);
        let select = page(query, cursor, size)?;
        self.read(&[&MEMBERS], move |db| async move {
            let found = select.all(&db).await?;
            let cursor = |row: &member::Model| cursor::encode(SEARCH, [&row.search_key, &row.member_id]);
            paged(found, size, cursor, MemberView::try_from)
        })
        .await
    }

    async fn member(&self, member: MemberId) -> Result<Option<MemberView>, ReadError> {
        let select = member::Entity::find().filter(member::Column::MemberId.eq(values::id(member.as_uuid())));
        self.read(&[&MEMBERS], move |db| async move {
            select.one(&db).await?.map(MemberView::try_from).transpose()
        })
        .await
    }
}
