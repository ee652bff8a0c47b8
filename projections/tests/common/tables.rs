//! Looking into the read-model database, as an analyst or a vandal would.

use super::{Backend, Bench};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement, Value};

pub async fn connect(bench: &Bench) -> DatabaseConnection {
    let mut options = ConnectOptions::new(bench.url());
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Runs one statement; tells how many rows it touched.
pub async fn execute(bench: &Bench, sql: &str) -> u64 {
    let db = connect(bench).await;
    let touched = db.execute_unprepared(sql).await.unwrap().rows_affected();
    db.close().await.unwrap();
    touched
}

pub async fn query(bench: &Bench, sql: &str, values: Vec<Value>) -> Vec<QueryResult> {
    let db = connect(bench).await;
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(statement).await.unwrap();
    db.close().await.unwrap();
    rows
}

/// Names of the tables whose name fits this pattern of LIKE, with a backslash before what is no wildcard.
pub async fn names(bench: &Bench, pattern: &str) -> Vec<String> {
    let sql = match bench.backend() {
        Backend::Sqlite => format!(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '{pattern}' ESCAPE '\\'"
        ),
        Backend::MySql => format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
             AND table_type = 'BASE TABLE' AND table_name LIKE '{}'",
            pattern.replace('\\', "\\\\")
        ),
    };
    let mut names = texts(bench, &sql).await;
    names.sort();
    names
}

/// The first column of a query, as text.
pub async fn texts(bench: &Bench, sql: &str) -> Vec<String> {
    let rows = query(bench, sql, vec![]).await;
    rows.iter()
        .map(|row| row.try_get_by_index::<Option<String>>(0).unwrap().unwrap_or("NULL".to_owned()))
        .collect()
}

/// The one number a query gives.
pub async fn number(bench: &Bench, sql: &str) -> i64 {
    query(bench, sql, vec![]).await[0].try_get_by_index(0).unwrap()
}
