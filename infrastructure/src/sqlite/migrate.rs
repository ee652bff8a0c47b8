//! Applying migrations.

use super::{Kind, Migration, OpenError, Problem, Purpose, connect};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::{path::Path, time::Duration};

/// How long a start waits for another process that migrates the same file.
const MIGRATION_WAIT: Duration = Duration::from_secs(10);

/// A migration with its number.
pub(super) struct Step<'a> {
    number: u32,
    name: &'a str,
    sql: &'a str,
}

/// Numbers the migrations: 1, 2, 3 …, as their names say.
pub(super) fn parse<'a>(path: &Path, migrations: &[Migration<'a>]) -> Result<Vec<Step<'a>>, OpenError> {
    (1..)
        .zip(migrations)
        .map(|(number, (name, sql))| match name.split_once('_').map(|(n, _)| n.parse::<u32>()) {
            Some(Ok(n)) if n == number => Ok(Step { number, name, sql }),
            _ => Err(Problem::Migration((*name).to_owned()).of(path)),
        })
        .collect()
}

/// The newest schema version that the program knows.
pub(super) fn latest(steps: &[Step<'_>]) -> u32 {
    steps.last().map_or(0, |step| step.number)
}

/// Brings an existing file to the newest schema.
pub(super) fn apply(path: &Path, kind: &Kind, steps: &[Step<'_>]) -> Result<(), OpenError> {
    connect(path, Purpose::Write, MIGRATION_WAIT)
        .map_err(Problem::from)
        .and_then(|mut connection| apply_to(&mut connection, kind, steps))
        .map_err(|problem| problem.of(path))
}

/// Brings a database to the newest schema, each migration in a transaction of its own.
pub(super) fn apply_to(connection: &mut Connection, kind: &Kind, steps: &[Step<'_>]) -> Result<(), Problem> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Problem::Corrupted(format!("its journal mode stays {mode}")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let mut done = applied(connection)?;
    while done < latest(steps) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        done = applied(&transaction)?;
        if let Some(step) = steps.iter().find(|step| step.number == done + 1) {
            if done == 0 {
                transaction.pragma_update(None, "application_id", kind.application_id)?;
                transaction.execute_batch(CREATE_TABLE)?;
            }
            transaction.execute_batch(step.sql)?;
            transaction.execute(
                "INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)",
                (step.number, step.name),
            )?;
            transaction.pragma_update(None, "user_version", step.number)?;
            done = step.number;
        }
        transaction.commit()?;
    }
    Ok(())
}

const CREATE_TABLE: &str = "CREATE TABLE schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT";

/// The number of the last applied migration, 0 for an empty database.
pub(super) fn applied(connection: &Connection) -> rusqlite::Result<u32> {
    let table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'";
    match connection.query_row(table, (), |_| Ok(())).optional()? {
        None => Ok(0),
        Some(()) => {
            connection
                .query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", (), |row| row.get(0))
        }
    }
}
