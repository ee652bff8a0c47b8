//! The migrations of the read-model database, one timestamped entry per change.

use super::{install, meta, models};
use async_trait::async_trait;
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager,
    sea_orm::{ConnectionTrait, DbErr},
};

/// Brings the read-model database up to date. A change of a projection's tables is no migration: it is a new
/// `schema_version`, and the projection is filled anew.
///
/// On SQLite all of it is to run in one transaction of the caller's. MySQL commits at each statement, so each can be
/// repeated, and the caller sees to it that one process migrates at a time.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(FirstReadModels), Box::new(HeldVersions)]
    }
}

struct FirstReadModels;

impl MigrationName for FirstReadModels {
    fn name(&self) -> &str {
        "m20260701_000001_first_read_models"
    }
}

#[async_trait]
impl MigrationTrait for FirstReadModels {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in meta::create(db.get_database_backend()) {
            db.execute(&table).await?;
        }
        for model in [&models::ROOMS, &models::MESSAGE_HISTORY, &models::MEMBERS, &models::UNREAD] {
            install(db, model).await?;
        }
        Ok(())
    }
}

struct HeldVersions;

impl MigrationName for HeldVersions {
    fn name(&self) -> &str {
        "m20260720_000001_held_versions"
    }
}

#[async_trait]
impl MigrationTrait for HeldVersions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.has_column(meta::CHECKPOINTS, meta::HELD_SINCE).await? {
            return Ok(());
        }
        manager.get_connection().execute(&meta::add_held_since()).await.map(drop)
    }
}
