//! Which version of each projection is active, and how far each version is.

use crate::{bulk, values};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};
use std::collections::BTreeMap;
use verbatim_domain::Timestamp;
use verbatim_migrations::read_models::{
    ReadModel, create_tables, drop_tables,
    meta::{CHECKPOINTS, HELD_SINCE, PROJECTIONS},
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
    /// Nobody may move it on as the live one since then; see [`crate::switch`].
    pub held_since: Option<String>,
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
         c.position, c.event, c.published, c.updated_at, c.last_error, c.{HELD_SINCE} \
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
            held_since: row.try_get("", HELD_SINCE)?,
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
    /// Up to where changes were handed to the broadcast; of a live version.
    pub published: u64,
    pub at: Timestamp,
}

/// `(name = ? AND version = ?) OR ...` with its values.
fn any_of(versions: &[(&'static str, i32)]) -> (String, impl Iterator<Item = Value>) {
    let sql = vec!["(name = ? AND version = ?)"; versions.len()].join(" OR ");
    (sql, versions.iter().flat_map(|(name, version)| [Value::from(*name), (*version).into()]))
}

/// Moves checkpoints on, if all of them still are where the writer believes, and what it believes. If not (another
/// writer was here, or versions are being switched) it says no, and the transaction must be rolled back.
///
/// What decides must stand in the very row: MySQL may take other tables as they were a moment ago. So a version that is
/// held, or was live once, says so in its checkpoint.
pub(crate) async fn advance(db: &DatabaseTransaction, guard: Guard, step: Step<'_>) -> Result<bool, DbErr> {
    let (versions, names) = any_of(step.versions);
    let mut values = vec![values::number(step.to), step.event.into(), values::moment(step.at).into()];
    let (published, active) = match guard {
        Guard::Live => {
            values.push(values::number(step.published));
            (", published = ?", format!("{HELD_SINCE} IS NULL AND version ="))
        }
        Guard::Beside => ("", "version <>".to_owned()),
    };
    let sql = format!(
        "UPDATE {CHECKPOINTS} SET position = ?, event = ?, updated_at = ?, last_error = NULL{published} \
         WHERE position = ? AND ({versions}) AND {active} \
         (SELECT p.active_version FROM {PROJECTIONS} p WHERE p.name = {CHECKPOINTS}.name)"
    );
    values.push(values::number(step.from));
    values.extend(names);
    let moved = bulk::execute(db, sql, values).await?;
    Ok(usize::try_from(moved) == Ok(step.versions.len()))
}

/// Writes down up to where the changes of these versions were handed to the broadcast.
pub(crate) async fn record_published<C: ConnectionTrait>(
    db: &C,
    versions: &[(&'static str, i32)],
    published: u64,
) -> Result<(), DbErr> {
    let (versions, names) = any_of(versions);
    let sql = format!("UPDATE {CHECKPOINTS} SET published = ? WHERE published < ? AND ({versions})");
    let mut values = vec![values::number(published), values::number(published)];
    values.extend(names);
    bulk::execute(db, sql, values).await?;
    Ok(())
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

/// Creates the next version of a projection, empty, beside the others. It is written down before its tables are made, so
/// that on MySQL, where making them commits, nothing is left behind that nobody knows of.
pub(crate) async fn create_version(db: &DatabaseTransaction, model: &ReadModel) -> Result<i32, DbErr> {
    let version = load_one(db, model.name).await?.latest_version + 1;
    let sql = format!("UPDATE {PROJECTIONS} SET latest_version = ? WHERE name = ?");
    bulk::execute(db, sql, vec![version.into(), model.name.into()]).await?;
    let sql = format!(
        "INSERT INTO {CHECKPOINTS} (name, version, schema_version, position, event, published) \
         VALUES (?, ?, ?, 0, '', 0)"
    );
    bulk::execute(db, sql, vec![model.name.into(), version.into(), model.schema_version.into()]).await?;
    create_tables(db, model, version).await?;
    Ok(version)
}

/// Makes another version the active one, and the one that was active the previous one. The views are the caller's.
/// `false`: another one is active than the caller believes, roll back.
pub(crate) async fn activate(
    db: &DatabaseTransaction,
    name: &'static str,
    (from, to): (i32, i32),
) -> Result<bool, DbErr> {
    let state = load_one(db, name).await?;
    let published = state.active()?.published;
    let sql = format!(
        "UPDATE {PROJECTIONS} SET active_version = ?, previous_version = ? \
         WHERE name = ? AND active_version = ?"
    );
    let switched = bulk::execute(db, sql, vec![to.into(), from.into(), name.into(), from.into()]).await?;
    let sql =
        format!("UPDATE {CHECKPOINTS} SET published = ?, {HELD_SINCE} = NULL WHERE name = ? AND version = ?");
    let opened = bulk::execute(db, sql, vec![values::number(published), name.into(), to.into()]).await?;
    Ok((switched, opened) == (1, 1))
}

/// Holds versions where they are, or lets them go on, as live ones.
pub(crate) async fn hold<C: ConnectionTrait>(
    db: &C,
    versions: &[(&'static str, i32)],
    since: Option<Timestamp>,
) -> Result<(), DbErr> {
    let (versions, names) = any_of(versions);
    let sql = format!("UPDATE {CHECKPOINTS} SET {HELD_SINCE} = ? WHERE {versions}");
    let mut values = vec![since.map(values::moment).into()];
    values.extend(names);
    bulk::execute(db, sql, values).await?;
    Ok(())
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
/// one has pushed out. Not those after `last`: they are of a rebuild that began later, and wins.
pub(crate) async fn drop_leftovers(
    db: &DatabaseTransaction,
    model: &ReadModel,
    last: i32,
) -> Result<(), DbErr> {
    let state = load_one(db, model.name).await?;
    for version in state.checkpoints.keys().filter(|version| **version <= last) {
        if *version != state.active_version && Some(*version) != state.previous_version {
            drop_version(db, model, *version).await?;
        }
    }
    Ok(())
}
