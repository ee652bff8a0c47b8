//! How a read model's tables are described, once for every dialect and version.

use sea_orm_migration::{
    sea_orm::DbBackend,
    sea_query::{
        Alias, ColumnDef, Index as SqlIndex, IndexCreateStatement, IntoIden, Table as SqlTable,
        TableCreateStatement,
    },
};

/// What a column holds. Both dialects store it so that it reads well and sorts right in plain SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A UUID as 36 characters of text, in lower case.
    Id,
    /// One of a few words of at most 16 characters.
    Word,
    /// One line of text, of at most so many characters.
    Line(u32),
    /// A text of at most 64 KiB.
    Body,
    /// A moment in UTC as RFC 3339 text with microseconds and `Z` (27 characters): sorts as time does.
    Moment,
    /// A 64-bit integer.
    Number,
    /// True or false.
    Flag,
}

/// A column of a physical table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A secondary index.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// Ends the index's name.
    pub name: &'static str,
    /// The columns, in order.
    pub columns: &'static [&'static str],
}

/// A physical table of one projection, whatever its version.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name without the version.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// The columns of its primary key, in order.
    pub primary_key: &'static [&'static str],
    /// Its other indexes.
    pub indexes: &'static [Index],
}

/// What readers see of a projection.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Its stable name.
    pub name: &'static str,
    /// `SELECT` with `{table}` where a physical table goes. It runs in both dialects, and stays simple enough for
    /// planners to merge it into the query around it.
    pub select: &'static str,
}

/// A projection's tables and views.
#[derive(Debug, Clone, Copy)]
pub struct ReadModel {
    /// The projection's name.
    pub name: &'static str,
    /// Version of the tables' shape and of what the projection writes there. A stored version with another number is
    /// filled anew at start.
    pub schema_version: i32,
    /// Its physical tables.
    pub tables: &'static [Table],
    /// Its views.
    pub views: &'static [View],
}

/// The name of a table in one version.
#[must_use]
pub fn physical(table: &str, version: i32) -> String {
    format!("{table}_v{version}")
}

impl Table {
    /// The statement that creates the table in one version, unless it is there. On MySQL the indexes come with it:
    /// each statement commits by itself there, and `CREATE INDEX` can't be repeated.
    #[must_use]
    pub fn create(&self, version: i32, backend: DbBackend) -> TableCreateStatement {
        let mut create = SqlTable::create();
        create.table(Alias::new(physical(self.name, version))).if_not_exists();
        for column in self.columns {
            create.col(column.definition());
        }
        let mut key = SqlIndex::create();
        for column in self.primary_key {
            key.col(Alias::new(*column));
        }
        create.primary_key(&mut key);
        if backend == DbBackend::MySql {
            for mut index in self.indexes(version) {
                create.index(&mut index);
            }
        }
        dress(&mut create, backend);
        create
    }

    /// The statements that create its indexes in one version, if they do not come with the table.
    #[must_use]
    pub fn create_indexes(&self, version: i32, backend: DbBackend) -> Vec<IndexCreateStatement> {
        if backend == DbBackend::MySql { Vec::new() } else { self.indexes(version) }
    }

    fn indexes(&self, version: i32) -> Vec<IndexCreateStatement> {
        let table = physical(self.name, version);
        let of = |index: &Index| {
            let mut create = SqlIndex::create();
            create.name(format!("{table}_{}", index.name)).table(Alias::new(&table));
            for column in index.columns {
                create.col(Alias::new(*column));
            }
            create
        };
        self.indexes.iter().map(of).collect()
    }
}

impl Column {
    fn definition(&self) -> ColumnDef {
        let mut column = ColumnDef::new(Alias::new(self.name).into_iden());
        match self.kind {
            Kind::Id => column.char_len(36),
            Kind::Word => column.string_len(16),
            Kind::Line(length) => column.string_len(length),
            Kind::Body => column.text(),
            Kind::Moment => column.char_len(27),
            Kind::Number => column.big_integer(),
            Kind::Flag => column.boolean(),
        };
        if self.nullable {
            column.null();
        } else {
            column.not_null();
        }
        column
    }
}

/// What a dialect wants at the end of `CREATE TABLE`. Rows live in the primary key's tree in both, so a page of a
/// room's history is a few neighbouring pages of the file; texts compare by their bytes in both.
pub(super) fn dress(create: &mut TableCreateStatement, backend: DbBackend) {
    match backend {
        DbBackend::MySql => {
            create.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
        }
        _ => {
            create.extra("WITHOUT ROWID");
        }
    }
}
