//! Writing and reading many rows with few statements.

use crate::{
    db::STATEMENT_LIMIT,
    dialect::{self, BYTES_PER_STATEMENT, OnConflict, ROWS_PER_STATEMENT, VARIABLES_PER_STATEMENT},
    failures,
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use std::fmt::Write;

/// Up to so many rows a statement is filled up rather than followed by shorter ones.
const PADDED_ROWS: usize = 64;

/// How many ids one `IN (...)` takes.
pub(crate) const IDS_PER_STATEMENT: usize = 512;

/// Repeats the last one until there is a power of two of them, so that few different statements come up and the
/// prepared ones are found again.
fn pad<T: Clone>(chunk: &[T]) -> Vec<T> {
    let mut padded = chunk.to_vec();
    if let Some(last) = chunk.last() {
        padded.resize(chunk.len().next_power_of_two(), last.clone());
    }
    padded
}

/// A server that hangs must not keep those waiting who have no time limit of their own. A file answers.
async fn in_time<T>(
    db: &impl ConnectionTrait,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    match db.get_database_backend() {
        DbBackend::MySql => match tokio::time::timeout(STATEMENT_LIMIT, work).await {
            Ok(done) => done,
            Err(_) => Err(failures::late(STATEMENT_LIMIT)),
        },
        _ => work.await,
    }
}

/// Repeats the last row until there is a power of two of them; tells how many there are.
fn pad_rows(values: &mut Vec<Value>, width: usize) -> usize {
    let rows = (values.len() / width).next_power_of_two();
    let last = values.len().saturating_sub(width)..values.len();
    while values.len() < rows * width {
        values.extend_from_within(last.clone());
    }
    rows
}

/// Runs one statement; tells how many rows it touched.
pub(crate) async fn execute<C: ConnectionTrait>(
    db: &C,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(in_time(db, db.execute_raw(statement)).await?.rows_affected())
}

/// Runs one query.
pub(crate) async fn query<C: ConnectionTrait>(
    db: &C,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    in_time(db, query_slowly(db, sql, values)).await
}

/// Runs one query that may take longer than others.
pub(crate) async fn query_slowly<C: ConnectionTrait>(
    db: &C,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
}

/// How long texts are together. What else there is takes some bytes each.
fn bytes(values: &[Value]) -> usize {
    let text = |value: &Value| if let Value::String(Some(text)) = value { text.len() } else { 8 };
    values.iter().map(text).sum()
}

/// A multi-row `INSERT ... ON CONFLICT`.
pub(crate) struct Upsert<'a> {
    /// The physical table.
    pub table: &'a str,
    /// Its columns, in the order of the values.
    pub columns: &'a [&'a str],
    /// Its primary key.
    pub key: &'a [&'a str],
    /// What becomes of the other columns of a row that is there.
    pub updates: &'a [(&'a str, OnConflict)],
}

impl Upsert<'_> {
    /// Writes all rows; `values` holds them one after the other.
    pub(crate) async fn write<C: ConnectionTrait>(&self, db: &C, values: Vec<Value>) -> Result<(), DbErr> {
        let backend = db.get_database_backend();
        let width = self.columns.len();
        let most = (VARIABLES_PER_STATEMENT / width).min(ROWS_PER_STATEMENT);
        let mut left = values.len() / width;
        let mut values = values.into_iter();
        while left > 0 {
            // Powers of two: ten different statements at most, so that the prepared ones are found again.
            let mut rows = if left >= most { most } else { 1 << left.ilog2() };
            let next = values.as_slice();
            while rows > 1 && bytes(next.get(..rows * width).unwrap_or_default()) > BYTES_PER_STATEMENT {
                rows /= 2;
            }
            let mut chunk: Vec<Value> = values.by_ref().take(rows * width).collect();
            left -= rows;
            if dialect::pads(backend) && left < rows && rows <= PADDED_ROWS {
                // What is left comes along, and the last row again and again: to write it twice changes nothing, and one
                // round trip costs more than some rows.
                chunk.extend(values.by_ref());
                left = 0;
                rows = pad_rows(&mut chunk, width);
            }
            execute(db, self.sql(backend, rows), chunk).await?;
        }
        Ok(())
    }

    fn sql(&self, backend: DbBackend, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let mut sql = format!("INSERT INTO {} ({}) VALUES {row}", self.table, self.columns.join(", "));
        for _ in 1..rows {
            let _ = write!(sql, ", {row}");
        }
        let _ = write!(sql, " {}", dialect::on_conflict(backend, self.table, self.key, self.updates));
        sql
    }
}

/// `SELECT columns FROM table WHERE column IN (ids)`.
pub(crate) async fn select_in<C: ConnectionTrait>(
    db: &C,
    columns: &str,
    table: &str,
    column: &str,
    ids: Vec<Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    let mut found = Vec::new();
    for chunk in ids.chunks(IDS_PER_STATEMENT) {
        let chunk = pad(chunk);
        let marks = vec!["?"; chunk.len()].join(", ");
        let sql = format!("SELECT {columns} FROM {table} WHERE {column} IN ({marks})");
        found.extend(query(db, sql, chunk).await?);
    }
    Ok(found)
}

/// `SELECT columns FROM table WHERE (a, b) IN (pairs)`.
pub(crate) async fn select_pairs<C: ConnectionTrait>(
    db: &C,
    columns: &str,
    table: &str,
    pair: (&str, &str),
    pairs: Vec<[Value; 2]>,
) -> Result<Vec<QueryResult>, DbErr> {
    let mut found = Vec::new();
    for chunk in pairs.chunks(IDS_PER_STATEMENT) {
        let chunk = pad(chunk);
        let matches = dialect::pairs_in(db.get_database_backend(), pair, chunk.len());
        let sql = format!("SELECT {columns} FROM {table} WHERE {matches}");
        found.extend(query(db, sql, chunk.into_iter().flatten().collect()).await?);
    }
    Ok(found)
}

/// `DELETE FROM table WHERE (a, b) IN (pairs)`.
pub(crate) async fn delete_pairs<C: ConnectionTrait>(
    db: &C,
    table: &str,
    pair: (&str, &str),
    pairs: Vec<[Value; 2]>,
) -> Result<(), DbErr> {
    for chunk in pairs.chunks(IDS_PER_STATEMENT) {
        let chunk = pad(chunk);
        let matches = dialect::pairs_in(db.get_database_backend(), pair, chunk.len());
        let values = chunk.into_iter().flatten().collect();
        execute(db, format!("DELETE FROM {table} WHERE {matches}"), values).await?;
    }
    Ok(())
}
