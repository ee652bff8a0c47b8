//! The right to change the schema.

use super::{CLOSE_LIMIT, STATEMENT_LIMIT, mysql::Server};
use crate::{bulk, failures};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};
use std::{ops::Deref, time::Duration};

/// Taken on the server by whoever changes the schema of this database, as long as the connection lives.
const TAKE_LOCK: &str = "SELECT GET_LOCK(CONCAT('verbatim:', LEFT(DATABASE(), 55)), ?) AS taken";

/// The right to change the schema: on SQLite a transaction that writes; on MySQL a connection of its own that holds a
/// lock, on which each statement commits by itself unless it stands in [`Exclusive::transaction`]. Dropping it gives the
/// right back; so does the death of the process, and the server that hears nothing for ten seconds.
pub(crate) struct Exclusive {
    db: DatabaseTransaction,
    /// Never goes back to a pool: the next user would hold the lock and not know.
    own: Option<DatabaseConnection>,
}

impl Exclusive {
    pub(super) fn of_transaction(db: DatabaseTransaction) -> Self {
        Self { db, own: None }
    }

    /// `None`: another process has it for longer than that.
    pub(super) async fn on_server(server: &Server, patience: Duration) -> Result<Option<Self>, DbErr> {
        let own = server.alone().await?;
        let taking = async {
            // Pins the connection. It is over with the first change of the schema, or the first real transaction.
            let db = own.begin().await?;
            let rows = bulk::query_slowly(&db, TAKE_LOCK, vec![patience.as_secs().into()]).await?;
            let taken = rows.first().map(|row| row.try_get::<Option<i64>>("", "taken")).transpose()?;
            Ok::<_, DbErr>((db, taken.flatten()))
        };
        let limit = patience + STATEMENT_LIMIT;
        let Ok(taken) = tokio::time::timeout(limit, taking).await else { return Err(failures::late(limit)) };
        let (db, taken) = taken?;
        Ok((taken == Some(1)).then_some(Self { db, own: Some(own) }))
    }

    /// Begins a transaction on MySQL. On SQLite all is in one anyway.
    pub(crate) async fn transaction(&self) -> Result<(), DbErr> {
        self.command("START TRANSACTION").await
    }

    /// Ends it.
    pub(crate) async fn commit(&self) -> Result<(), DbErr> {
        self.command("COMMIT").await
    }

    /// Ends it as if it had not been.
    pub(crate) async fn rollback(&self) -> Result<(), DbErr> {
        self.command("ROLLBACK").await
    }

    async fn command(&self, sql: &str) -> Result<(), DbErr> {
        if self.own.is_none() {
            return Ok(());
        }
        let done = tokio::time::timeout(STATEMENT_LIMIT, self.db.execute_unprepared(sql)).await;
        done.unwrap_or_else(|_| Err(failures::late(STATEMENT_LIMIT))).map(drop)
    }

    /// Ends all of it with what was done.
    pub(crate) async fn end(self) -> Result<(), DbErr> {
        let Self { db, own } = self;
        let Some(own) = own else { return db.commit().await };
        tokio::time::timeout(STATEMENT_LIMIT, db.commit())
            .await
            .unwrap_or_else(|_| Err(failures::late(STATEMENT_LIMIT)))?;
        // Only hastens what dropping does.
        let _ = tokio::time::timeout(CLOSE_LIMIT, own.close_by_ref()).await;
        Ok(())
    }
}

impl Deref for Exclusive {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.db
    }
}
