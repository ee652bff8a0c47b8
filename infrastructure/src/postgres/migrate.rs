//! Checking and applying migrations.

use super::{ANSWER_LIMIT, PostgresOpenError, connect::Target};
use crate::sqlite::Migration;
use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{Connection, Executor, PgConnection, query, query_scalar};
use std::time::Duration;
use tokio::time::timeout;

/// How long one start may take for migrations, those that other nodes do at the same time included.
const MIGRATION_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Of the advisory lock that lets one node at a time migrate: "VbMigrat".
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"VbMigrat");

/// One part of the schema; several may share a database.
pub(super) struct Schema<'a> {
    component: &'static str,
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    number: u32,
    name: &'a str,
    sql: &'a str,
}

impl<'s> Schema<'s> {
    /// Numbers the migrations: 1, 2, 3 …, as their names say.
    pub(super) fn parse(
        component: &'static str,
        migrations: &[Migration<'s>],
    ) -> Result<Self, PostgresOpenError> {
        let numbered = (1..).zip(migrations).map(|(number, (name, sql))| {
            match name.split_once('_').map(|(n, _)| n.parse::<u32>()) {
                Some(Ok(n)) if n == number => Ok(Step { number, name, sql }),
                _ => Err(PostgresOpenError::Migration((*name).to_owned())),
            }
        });
        Ok(Self { component, steps: numbered.collect::<Result<_, _>>()? })
    }

    fn latest(&self) -> u32 {
        self.steps.last().map_or(0, |step| step.number)
    }

    /// Makes sure that the database has this schema: brings it up to date, or refuses it if `migrate` is false. Any number
    /// of nodes may do this at once.
    pub(super) async fn ensure(&self, target: &Target, migrate: bool) -> Result<(), PostgresOpenError> {
        let mut connection = target.connect().await?;
        let looking = timeout(ANSWER_LIMIT, self.look(&mut connection)).await;
        let found = looking.map_err(|_| PostgresOpenError::NoAnswer)??;
        let (component, known) = (self.component, self.latest());
        if found > known {
            return Err(PostgresOpenError::NewerSchema { component, found, known });
        }
        if found < known {
            if !migrate {
                return Err(PostgresOpenError::OlderSchema { component, found, needed: known });
            }
            let applying = timeout(MIGRATION_LIMIT, self.apply(&mut connection)).await;
            applying.map_err(|_| PostgresOpenError::NoAnswer)??;
        }
        Ok(())
    }

    /// The version that is there.
    fn look<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<u32, PostgresOpenError>> {
        let look = async {
            let encoding: String = query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await?;
            if encoding != "UTF8" {
                return Err(PostgresOpenError::Encoding(encoding));
            }
            let table = "SELECT to_regclass('schema_migrations') IS NOT NULL";
            if !query_scalar(table).fetch_one(&mut *connection).await? {
                return Ok(0);
            }
            self.applied(connection).await
        };
        look.boxed()
    }

    async fn applied(&self, connection: &mut PgConnection) -> Result<u32, PostgresOpenError> {
        let sql = "SELECT coalesce(max(version), 0) FROM schema_migrations WHERE component = $1";
        let version: i32 = query_scalar(sql).bind(self.component).fetch_one(connection).await?;
        let wrong = |_| PostgresOpenError::Corrupted(format!("its schema version is {version}"));
        u32::try_from(version).map_err(wrong)
    }

    /// Applies what is missing in one transaction, holding a lock that nobody else migrates.
    fn apply<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), PostgresOpenError>> {
        let apply = async {
            let mut transaction = connection.begin().await?;
            // The limits of everyday statements would be too short here, also for waiting until another node has done it.
            transaction.execute("SET LOCAL statement_timeout = 0").await?;
            transaction.execute("SET LOCAL lock_timeout = 0").await?;
            query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await?;
            transaction.execute(CREATE_TABLE).await?;
            // Another node may have been faster.
            let done = self.applied(&mut transaction).await?;
            for step in self.steps.iter().filter(|step| step.number > done) {
                transaction.execute(step.sql).await?;
                let sql = "INSERT INTO schema_migrations (component, version, name) VALUES ($1, $2, $3)";
                let number = i32::try_from(step.number).unwrap_or(i32::MAX);
                let insert = query(sql).bind(self.component).bind(number).bind(step.name);
                insert.execute(&mut *transaction).await?;
            }
            Ok(transaction.commit().await?)
        };
        apply.boxed()
    }
}

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    component  text        NOT NULL,
    version    integer     NOT NULL,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, version)
)";
