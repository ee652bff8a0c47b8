//! `members`: the directory of members. It holds no address: those who look others up see names only.

use crate::{
    Changes, Projection,
    bulk::{self, Upsert},
    dialect::OnConflict,
    values,
};
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr, Value};
use std::collections::BTreeMap;
use unicode_normalization::UnicodeNormalization;
use verbatim_application::codec::{Envelope, Event};
use verbatim_domain::{
    MemberId,
    member::{MemberEvent, MemberRole},
};
use verbatim_migrations::read_models::{MEMBERS, ReadModel, physical};

/// The directory of members.
#[derive(Debug, Clone, Copy)]
pub struct Members;

/// What a name is found by, and sorted by: composed and in lower case.
pub(crate) fn search_key(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct MemberChange {
    registered_at: Option<String>,
    display_name: Option<String>,
    role: Option<MemberRole>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct MemberChanges(BTreeMap<MemberId, MemberChange>);

impl MemberChanges {
    fn of(events: &[Envelope]) -> Self {
        let mut changes = Self::default();
        for envelope in events {
            if let Event::Member(event) = &envelope.event {
                changes.apply(event);
            }
        }
        changes
    }

    fn apply(&mut self, event: &MemberEvent) {
        match event {
            MemberEvent::MemberRegistered { member_id, display_name, at, .. } => {
                let member = self.0.entry(*member_id).or_default();
                member.registered_at = Some(values::moment(*at));
                member.display_name = Some(display_name.as_str().to_owned());
                member.role = Some(MemberRole::Member);
            }
            MemberEvent::DisplayNameChanged { member_id, display_name, .. } => {
                self.0.entry(*member_id).or_default().display_name = Some(display_name.as_str().to_owned());
            }
            MemberEvent::MemberRoleChanged { member_id, role, .. } => {
                self.0.entry(*member_id).or_default().role = Some(*role);
            }
            MemberEvent::PasswordChanged { .. } => {}
        }
    }
}

#[async_trait]
impl Projection for Members {
    fn model(&self) -> &'static ReadModel {
        &MEMBERS
    }

    fn fold(&self, events: &[Envelope]) -> Box<dyn Changes> {
        Box::new(MemberChanges::of(events))
    }
}

struct Row {
    display_name: String,
    role: String,
    registered_at: String,
}

const COLUMNS: [&str; 5] = ["member_id", "display_name", "search_key", "role", "registered_at"];

#[async_trait]
impl Changes for MemberChanges {
    async fn write(self: Box<Self>, db: &DatabaseTransaction, version: i32) -> Result<(), DbErr> {
        let table = physical("members", version);
        let known = self.0.iter().filter(|(_, change)| change.registered_at.is_none());
        let known = known.map(|(member, _)| values::id(member.as_uuid())).collect();
        let mut rows: BTreeMap<MemberId, Row> = BTreeMap::new();
        for row in bulk::select_in(db, &COLUMNS.join(", "), &table, "member_id", known).await? {
            let read = Row {
                display_name: row.try_get("", "display_name")?,
                role: row.try_get("", "role")?,
                registered_at: row.try_get("", "registered_at")?,
            };
            rows.insert(values::id_of(&row, "member_id")?, read);
        }
        let mut written: Vec<Value> = Vec::with_capacity(self.0.len() * COLUMNS.len());
        for (member, change) in self.0 {
            let fresh = change.registered_at.map(|registered_at| Row {
                display_name: String::new(),
                role: values::member_role(MemberRole::Member).to_owned(),
                registered_at,
            });
            let Some(row) = fresh.or_else(|| rows.remove(&member)) else {
                // The aggregate makes such a history impossible; a log written by other hands could hold it.
                tracing::error!(member_id = %member, "an event of a member who never registered");
                continue;
            };
            let name = change.display_name.unwrap_or(row.display_name);
            let role = change.role.map_or(row.role, |role| values::member_role(role).to_owned());
            let key = search_key(&name);
            let id = values::id(member.as_uuid());
            written.extend([id, name.into(), key.into(), role.into(), row.registered_at.into()]);
        }
        let members = Upsert {
            table: &table,
            columns: &COLUMNS,
            key: &["member_id"],
            updates: &COLUMNS[1..].iter().map(|column| (*column, OnConflict::Replace)).collect::<Vec<_>>(),
        };
        members.write(db, written).await
    }
}
