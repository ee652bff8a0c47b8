//! Which version of each projection is active, and how far each version is.

use crate::{bulk, values};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};
use std::collections::BTreeMap;
use verbatim_domain::Timestamp;
use verbatim_migrations::read_models::{
    ReadModel, create_tables, create_views, drop_tables,
    meta::{CHECKPOINTS, PROJECTIONS},
};

/// How far one version of a projection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub schema_version: i32,
    /// The last event it contains.
    pub position: u64,
    /// Names that event, see [`crate::feed`].
    pub event: String,
    /// The last position whose changes were handed on for certain.
    pub published: u64,
    pub updated_at: Option<String>,
    pub last_error: Option<String>,
}

/// A projection with all its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub active_version: i32,
    pub previous_version: Option<i32>,
    pub latest_version: i32,
    pub checkpoints: BTreeMap<i32, Checkpoint>,
}

impl State {
    /// The checkpoint of the active version.
    pub(crate) fn active(&self) -> Result<&Checkpoint, DbErr> {
        let missing =
            || DbErr::Custom(format!("the active version {} has no checkpoint", self.active_version));
        self.checkpoints.get(&self.active_version).ok_or_else(missing)
    }

    /// The version to roll back to, with its checkpoint.
    pub(crate) fn previous(&self) -> Option<(i32, &Checkpoint)> {
        let version = self.previous_version?;
        Some((version, self.checkpoints.get(&version)?))
    }
}

/// All projections that the database knows, by name.
pub(crate) async fn load<C: ConnectionTrait>(db: &C) -> Result<BTreeMap<String, State>, DbErr> {
    let sql = format!(
        "SELECT p.name, p.active_version, p.previous_version, p.latest_version, c.version, c.schema_version, \
         c.position, c.event, c.published, c.updated_at, c.last_error \
         FROM {PROJECTIONS} p JOIN {CHECKPOINTS} c ON c.name = p.name"
    );
    let mut states = BTreeMap::new();
    for row in bulk::query(db, sql, vec![]).await? {
        let state = State {
            active_version: row.try_get("", "active_version")?,
            previous_version: row.try_get("", "previous_version")?,
            latest_version: row.try_get("", "latest_version")?,
            checkpoints: BTreeMap::new(),
        };
        let checkpoint = Checkpoint {
            schema_version: row.try_get("", "schema_version")?,
            position: values::number_of(&row, "position")?,
            event: row.try_get("", "event")?,
            published: values::number_of(&row, "published")?,
            updated_at: row.try_get("", "updated_at")?,
            last_error: row.try_get("", "last_error")?,
        };
        let state = states.entry(row.try_get::<String>("", "name")?).or_insert(state);
        state.checkpoints.insert(row.try_get("", "version")?, checkpoint);
    }
    Ok(states)
}

/// The state of one projection.
pub(crate) async fn load_one<C: ConnectionTrait>(db: &C, name: &str) -> Result<State, DbErr> {
    let missing = || DbErr::RecordNotFound(format!("projection {name}"));
    load(db).await?.remove(name).ok_or_else(missing)
}

/// Which of its versions a writer believes it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The active one.
    Live,
    /// One that is not active.
    Beside,
}

/// A step of some versions from one position to the next.
pub(crate) struct Step<'a> {
    pub versions: &'a [(&'static str, i32)],
    pub from: u64,
    pub to: u64,
    pub event: &'a str,
    pub published: u64,
    pub at: Timestamp,
}

/// Moves checkpoints on, if all of them still are where the writer believes, and what it believes. If not (another
/// writer was here, or versions were switched) it says no, and the transaction must be rolled back.
pub(crate) async fn advance(db: &DatabaseTransaction, guard: Guard, step: Step<'_>) -> Result<bool, DbErr> {
    let versions = vec!["(name = ? AND version = ?)"; step.versions.len()].join(" OR ");
    let active = match guard {
        Guard::Live => "=",
        Guard::Beside => "<>",
    };
    let sql = format!(
        "UPDATE {CHECKPOINTS} SET position = ?, event = ?, published = ?, updated_at = ?, last_error = NULL \
         WHERE position = ? AND ({versions}) AND version {active} \
         (SELECT p.active_version FROM {PROJECTIONS} p WHERE p.name = {CHECKPOINTS}.name)"
    );
    let mut values = vec![
        values::number(step.to),
        step.event.into(),
        values::number(step.published),
        values::moment(step.at).into(),
        values::number(step.from),
    ];
    values.extend(step.versions.iter().flat_map(|(name, version)| [Value::from(*name), (*version).into()]));
    let moved = bulk::execute(db, sql, values).await?;
    Ok(usize::try_from(moved) == Ok(step.versions.len()))
}

/// Writes down why a version does not go on.
pub(crate) async fn record_error(
    db: &DatabaseTransaction,
    name: &str,
    version: i32,
    error: &str,
) -> Result<(), DbErr> {
    let sql = format!("UPDATE {CHECKPOINTS} SET last_error = ? WHERE name = ? AND version = ?");
    bulk::execute(db, sql, vec![error.into(), name.into(), version.into()]).await?;
    Ok(())
}

/// Creates the next version of a projection, empty, beside the others.
pub(crate) async fn create_version(db: &DatabaseTransaction, model: &ReadModel) -> Result<i32, DbErr> {
    let version = load_one(db, model.name).await?.latest_version + 1;
    create_tables(db, model, version).await?;
    let sql = format!("UPDATE {PROJECTIONS} SET latest_version = ? WHERE name = ?");
    bulk::execute(db, sql, vec![version.into(), model.name.into()]).await?;
    let sql = format!(
        "INSERT INTO {CHECKPOINTS} (name, version, schema_version, position, event, published) \
         VALUES (?, ?, ?, 0, '', 0)"
    );
    bulk::execute(db, sql, vec![model.name.into(), version.into(), model.schema_version.into()]).await?;
    Ok(version)
}

/// Makes another version the active one, and the one that was active the previous one.
pub(crate) async fn switch(db: &DatabaseTransaction, model: &ReadModel, version: i32) -> Result<(), DbErr> {
    let state = load_one(db, model.name).await?;
    let published = state.active()?.published;
    let sql = format!("UPDATE {PROJECTIONS} SET active_version = ?, previous_version = ? WHERE name = ?");
    bulk::execute(db, sql, vec![version.into(), state.active_version.into(), model.name.into()]).await?;
    let sql = format!("UPDATE {CHECKPOINTS} SET published = ? WHERE name = ? AND version = ?");
    bulk::execute(db, sql, vec![values::number(published), model.name.into(), version.into()]).await?;
    create_views(db, model, version).await
}

/// Drops one version that is not active.
pub(crate) async fn drop_version(
    db: &DatabaseTransaction,
    model: &ReadModel,
    version: i32,
) -> Result<(), DbErr> {
    drop_tables(db, model, version).await?;
    let sql = format!("DELETE FROM {CHECKPOINTS} WHERE name = ? AND version = ?");
    bulk::execute(db, sql, vec![model.name.into(), version.into()]).await?;
    let sql =
        format!("UPDATE {PROJECTIONS} SET previous_version = NULL WHERE name = ? AND previous_version = ?");
    bulk::execute(db, sql, vec![model.name.into(), version.into()]).await?;
    Ok(())
}

/// Drops versions that are neither active nor previous: what a rebuild that never ended has left, and what a finished
/// one has pushed out.
pub(crate) async fn drop_leftovers(db: &DatabaseTransaction, model: &ReadModel) -> Result<(), DbErr> {
    let state = load_one(db, model.name).await?;
    for version in state.checkpoints.keys() {
        if *version != state.active_version && Some(*version) != state.previous_version {
            drop_version(db, model, *version).await?;
        }
    }
    Ok(())
}
