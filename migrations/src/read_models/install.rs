//! Creating and dropping versions of read models.

use super::{meta, physical, table::ReadModel};
use sea_orm_migration::{
    sea_orm::{ConnectionTrait, DbErr, Statement},
    sea_query::{Alias, Table as SqlTable},
};

/// Creates the tables of one version, empty.
///
/// # Errors
/// The database refused; on SQLite nothing is left behind when that is in a transaction.
pub async fn create_tables<C: ConnectionTrait>(db: &C, model: &ReadModel, version: i32) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for table in model.tables {
        db.execute(&table.create(version, backend)).await?;
        for index in table.create_indexes(version) {
            db.execute(&index).await?;
        }
    }
    Ok(())
}

/// Drops the tables of one version, as far as they are there.
///
/// # Errors
/// The database refused.
pub async fn drop_tables<C: ConnectionTrait>(db: &C, model: &ReadModel, version: i32) -> Result<(), DbErr> {
    for table in model.tables {
        let name = Alias::new(physical(table.name, version));
        db.execute(&SqlTable::drop().table(name).if_exists().take()).await?;
    }
    Ok(())
}

/// Makes the views show one version. In one transaction with the change of the active version on SQLite; MySQL commits
/// at each, and readers see one view after the other change.
///
/// # Errors
/// The database refused.
pub async fn create_views<C: ConnectionTrait>(db: &C, model: &ReadModel, version: i32) -> Result<(), DbErr> {
    for view in model.views {
        let mut select = view.select.trim_end().to_owned();
        for table in model.tables {
            select = select.replace(&format!("{{{}}}", table.name), &physical(table.name, version));
        }
        db.execute_unprepared(&format!("DROP VIEW IF EXISTS {}", view.name)).await?;
        db.execute_unprepared(&format!("CREATE VIEW {} AS {select}", view.name)).await?;
    }
    Ok(())
}

/// Installs a read model in version 1, active and empty.
///
/// # Errors
/// The database refused.
pub async fn install<C: ConnectionTrait>(db: &C, model: &ReadModel) -> Result<(), DbErr> {
    let version = 1;
    create_tables(db, model, version).await?;
    create_views(db, model, version).await?;
    let backend = db.get_database_backend();
    let sql = format!(
        "INSERT INTO {} (name, active_version, previous_version, latest_version) VALUES (?, ?, NULL, ?)",
        meta::PROJECTIONS
    );
    let values = [model.name.into(), version.into(), version.into()];
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let sql = format!(
        "INSERT INTO {} (name, version, schema_version, position, event, published) VALUES (?, ?, ?, 0, '', 0)",
        meta::CHECKPOINTS
    );
    let values = [model.name.into(), version.into(), model.schema_version.into()];
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(())
}
