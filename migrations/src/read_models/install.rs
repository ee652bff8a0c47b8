//! Creating and dropping versions of read models.

use super::{meta, physical, table::ReadModel};
use sea_orm_migration::{
    sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value},
    sea_query::{Alias, Table as SqlTable},
};

/// Creates the tables of one version, empty, as far as they are not there.
///
/// # Errors
/// The database refused; on SQLite nothing is left behind when that is in a transaction.
pub async fn create_tables<C: ConnectionTrait>(db: &C, model: &ReadModel, version: i32) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for table in model.tables {
        db.execute(&table.create(version, backend)).await?;
        for index in table.create_indexes(version, backend) {
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

/// Makes the views show one version. On SQLite in one transaction with the change of the active version. MySQL commits
/// at each, and readers see one view after the other change: both versions must hold the same then.
///
/// # Errors
/// The database refused.
pub async fn create_views<C: ConnectionTrait>(db: &C, model: &ReadModel, version: i32) -> Result<(), DbErr> {
    for view in model.views {
        let mut select = view.select.trim_end().to_owned();
        for table in model.tables {
            select = select.replace(&format!("{{{}}}", table.name), &physical(table.name, version));
        }
        let name = view.name;
        if db.get_database_backend() == DbBackend::MySql {
            db.execute_unprepared(&format!("CREATE OR REPLACE VIEW {name} AS {select}")).await?;
        } else {
            db.execute_unprepared(&format!("DROP VIEW IF EXISTS {name}")).await?;
            db.execute_unprepared(&format!("CREATE VIEW {name} AS {select}")).await?;
        }
    }
    Ok(())
}

/// Installs a read model in version 1, active and empty. What an attempt that was broken off has left is completed.
///
/// # Errors
/// The database refused.
pub async fn install<C: ConnectionTrait>(db: &C, model: &ReadModel) -> Result<(), DbErr> {
    let version = 1;
    create_tables(db, model, version).await?;
    create_views(db, model, version).await?;
    let (projections, checkpoints) = (meta::PROJECTIONS, meta::CHECKPOINTS);
    let sql = format!(
        "INSERT INTO {projections} (name, active_version, previous_version, latest_version) \
         SELECT ?, ?, NULL, ? FROM (SELECT 1 AS one) AS once \
         WHERE NOT EXISTS (SELECT 1 FROM {projections} WHERE name = ?)"
    );
    execute(db, sql, [model.name.into(), version.into(), version.into(), model.name.into()]).await?;
    let sql = format!(
        "INSERT INTO {checkpoints} (name, version, schema_version, position, event, published) \
         SELECT ?, ?, ?, 0, '', 0 FROM (SELECT 1 AS one) AS once \
         WHERE NOT EXISTS (SELECT 1 FROM {checkpoints} WHERE name = ? AND version = ?)"
    );
    let values =
        [model.name.into(), version.into(), model.schema_version.into(), model.name.into(), version.into()];
    execute(db, sql, values).await
}

async fn execute<C: ConnectionTrait, const N: usize>(
    db: &C,
    sql: String,
    values: [Value; N],
) -> Result<(), DbErr> {
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}
