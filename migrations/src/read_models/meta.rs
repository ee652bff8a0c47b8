//! The tables that say which version of each read model is active, and how far each version is.

use super::table::dress;
use sea_orm_migration::{
    sea_orm::DbBackend,
    sea_query::{Alias, ColumnDef, Index, Table, TableAlterStatement, TableCreateStatement},
};

/// Table: one row for each projection. `active_version` is shown by the views and written by the live runner;
/// `previous_version` is kept for rollback; `latest_version` is the highest number ever given out.
pub const PROJECTIONS: &str = "projections";

/// Table: one row for each version of each projection. `position` is the last event it contains, `event` names that
/// event (so that another log is noticed), `published` is the last position whose changes were handed to the
/// broadcast for certain. `held_since` is set while nobody may move the version on as the live one; see [`HELD_SINCE`].
pub const CHECKPOINTS: &str = "projection_checkpoints";

/// Column of [`CHECKPOINTS`]. MySQL can't change views and checkpoints in one transaction, so the live version is held
/// where it is while they change, and stays held once it is not live any more. A moment, for the operator who wonders.
pub const HELD_SINCE: &str = "held_since";

/// The statement that adds [`HELD_SINCE`].
#[must_use]
pub fn add_held_since() -> TableAlterStatement {
    let column = ColumnDef::new(Alias::new(HELD_SINCE)).char_len(27).null().take();
    Table::alter().table(Alias::new(CHECKPOINTS)).add_column(column).take()
}

/// The statements that create both.
#[must_use]
pub fn create(backend: DbBackend) -> Vec<TableCreateStatement> {
    let name = || ColumnDef::new(Alias::new("name")).string_len(64).not_null().take();
    let number = |column: &str| ColumnDef::new(Alias::new(column)).big_integer().not_null().take();
    let int = |column: &str| ColumnDef::new(Alias::new(column)).integer().not_null().take();

    let mut projections = Table::create();
    projections
        .table(Alias::new(PROJECTIONS))
        .if_not_exists()
        .col(name().primary_key())
        .col(int("active_version"))
        .col(ColumnDef::new(Alias::new("previous_version")).integer().null())
        .col(int("latest_version"));

    let mut checkpoints = Table::create();
    checkpoints
        .table(Alias::new(CHECKPOINTS))
        .if_not_exists()
        .col(name())
        .col(int("version"))
        .col(int("schema_version"))
        .col(number("position"))
        .col(ColumnDef::new(Alias::new("event")).string_len(100).not_null())
        .col(number("published"))
        .col(ColumnDef::new(Alias::new("updated_at")).char_len(27).null())
        .col(ColumnDef::new(Alias::new("last_error")).text().null())
        .primary_key(Index::create().col(Alias::new("name")).col(Alias::new("version")));

    dress(&mut projections, backend);
    dress(&mut checkpoints, backend);
    vec![projections, checkpoints]
}
