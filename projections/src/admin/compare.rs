//! Comparing one table of two databases, row by row along the primary key.

use crate::{bulk, dialect};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use std::{cmp::Ordering, fmt};
use verbatim_migrations::read_models::{Kind, Table, physical};

/// How many rows are read at once.
const ROWS: usize = 2_000;

/// A row that is not as the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which projection.
    pub projection: &'static str,
    /// Which of its tables, without the version.
    pub table: &'static str,
    /// Primary key of the row, `column=value`, comma-separated.
    pub key: String,
    /// The row as folded from the log; `None` if there should be none.
    pub expected: Option<String>,
    /// The row as it stands in the live version; `None` if it is missing.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { projection, table, key, expected, found } = self;
        let none = || "no row".to_owned();
        let expected = expected.clone().unwrap_or_else(none);
        let found = found.clone().unwrap_or_else(none);
        write!(f, "{projection}: {table} ({key}): expected {expected}, found {found}")
    }
}

/// A column's value, comparable and printable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Number(i64),
    Text(String),
}

impl Cell {
    fn read(row: &QueryResult, index: usize, kind: Kind) -> Result<Self, DbErr> {
        Ok(match kind {
            Kind::Number => row.try_get_by_index::<Option<i64>>(index)?.map_or(Self::Null, Self::Number),
            Kind::Flag => {
                row.try_get_by_index::<Option<bool>>(index)?.map_or(Self::Null, |is| Self::Number(is.into()))
            }
            Kind::Id | Kind::Word | Kind::Line(_) | Kind::Body | Kind::Moment => {
                row.try_get_by_index::<Option<String>>(index)?.map_or(Self::Null, Self::Text)
            }
        })
    }

    fn value(&self) -> Value {
        match self {
            Self::Null => Value::String(None),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => text.clone().into(),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => fmt::Debug::fmt(text, f),
        }
    }
}

type Row = Vec<Cell>;

/// One version of a table, read along its primary key.
struct Rows<'a, C> {
    db: &'a C,
    table: &'a Table,
    version: i32,
    page: std::vec::IntoIter<Row>,
    last_key: Option<Row>,
    ended: bool,
}

impl<'a, C: ConnectionTrait> Rows<'a, C> {
    fn new(db: &'a C, table: &'a Table, version: i32) -> Self {
        Self { db, table, version, page: Vec::new().into_iter(), last_key: None, ended: false }
    }

    fn peek(&self) -> Option<&Row> {
        self.page.as_slice().first()
    }

    /// Reads on if there is nothing left to peek at.
    async fn fill(&mut self) -> Result<(), DbErr> {
        if self.peek().is_none() && !self.ended {
            let page = self.read().await?;
            self.ended = page.len() < ROWS;
            self.last_key = page.last().map(|row| key(self.table, row));
            self.page = page.into_iter();
        }
        Ok(())
    }

    async fn read(&self) -> Result<Vec<Row>, DbErr> {
        let columns: Vec<&str> = self.table.columns.iter().map(|column| column.name).collect();
        let order = self.table.primary_key.join(", ");
        let table = physical(self.table.name, self.version);
        let mut sql = format!("SELECT {} FROM {table}", columns.join(", "));
        let mut values = Vec::new();
        if let Some(key) = &self.last_key {
            let names = self.table.primary_key;
            let (after, columns) = dialect::after_key(self.db.get_database_backend(), names);
            sql.push_str(&format!(" WHERE {after}"));
            let of = |column: &str| names.iter().position(|name| *name == column).and_then(|at| key.get(at));
            values.extend(columns.into_iter().filter_map(|column| of(column).map(Cell::value)));
        }
        sql.push_str(&format!(" ORDER BY {order} LIMIT {ROWS}"));
        let read = |row: &QueryResult| {
            let columns = self.table.columns.iter().enumerate();
            columns.map(|(index, column)| Cell::read(row, index, column.kind)).collect()
        };
        bulk::query(self.db, sql, values).await?.iter().map(read).collect()
    }
}

/// The primary key of a row.
fn key(table: &Table, row: &[Cell]) -> Row {
    let of = |name: &&str| {
        let index = table.columns.iter().position(|column| column.name == *name);
        index.and_then(|index| row.get(index)).cloned().unwrap_or(Cell::Null)
    };
    table.primary_key.iter().map(of).collect()
}

fn print(names: impl Iterator<Item = &'static str>, cells: &[Cell]) -> String {
    names.zip(cells).map(|(name, cell)| format!("{name}={cell}")).collect::<Vec<_>>().join(", ")
}

/// Compares a table as it should be with one as it is; calls back with each difference, and from time to time with the
/// number of rows compared since. Gives the number of differences.
pub(super) async fn compare<E: ConnectionTrait, F: ConnectionTrait>(
    (expected, expected_version): (&E, i32),
    (found, found_version): (&F, i32),
    projection: &'static str,
    table: &'static Table,
    on_difference: &mut (dyn FnMut(Difference) + Send),
    on_rows: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, DbErr> {
    let mut expected = Rows::new(expected, table, expected_version);
    let mut found = Rows::new(found, table, found_version);
    let (mut differences, mut rows) = (0, 0);
    loop {
        if expected.peek().is_none() || found.peek().is_none() {
            tokio::try_join!(expected.fill(), found.fill())?;
        }
        let order = match (expected.peek(), found.peek()) {
            (None, None) => break,
            (Some(should), Some(is)) if should == is => Ordering::Equal,
            (Some(should), Some(is)) => key(table, should).cmp(&key(table, is)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        let should = if order.is_le() { expected.page.next() } else { None };
        let is = if order.is_ge() { found.page.next() } else { None };
        if should != is {
            let row = should.as_ref().or(is.as_ref()).map(|row| key(table, row)).unwrap_or_default();
            let columns = || table.columns.iter().map(|column| column.name);
            differences += 1;
            on_difference(Difference {
                projection,
                table: table.name,
                key: print(table.primary_key.iter().copied(), &row),
                expected: should.map(|row| print(columns(), &row)),
                found: is.map(|row| print(columns(), &row)),
            });
        }
        rows += 1;
        if rows == ROWS as u64 {
            on_rows(std::mem::take(&mut rows));
        }
    }
    on_rows(rows);
    Ok(differences)
}
