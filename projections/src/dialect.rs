//! Where SQLite and MySQL/MariaDB differ. Everything else that this crate writes runs in both.

use sea_orm::DbBackend;

/// How many rows one statement takes at most, whatever their width: a longer one gains nothing any more.
pub(crate) const ROWS_PER_STATEMENT: usize = 512;

/// Most variables in one statement (SQLite: 32,766; MySQL: 65,535).
pub(crate) const VARIABLES_PER_STATEMENT: usize = 32_000;

/// How long the values of one statement may be together: well below what a MySQL server takes (`max_allowed_packet`, 4 MiB
/// on the most modest one).
pub(crate) const BYTES_PER_STATEMENT: usize = 2 * 1024 * 1024;

/// What becomes of a column when the row is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OnConflict {
    /// The new value replaces the old.
    Replace,
    /// The greater of both stays.
    Greatest,
}

/// The end of an `INSERT` that turns it into an upsert: `key` identifies the row, `updates` says what becomes of the
/// other columns. Without updates an existing row stays as it is.
pub(crate) fn on_conflict(
    backend: DbBackend,
    table: &str,
    key: &[&str],
    updates: &[(&str, OnConflict)],
) -> String {
    match backend {
        DbBackend::MySql => {
            let set = |(column, update): &(&str, OnConflict)| match update {
                OnConflict::Replace => format!("{column} = VALUES({column})"),
                OnConflict::Greatest => format!("{column} = GREATEST({table}.{column}, VALUES({column}))"),
            };
            let mut sets: Vec<String> = updates.iter().map(set).collect();
            if sets.is_empty() {
                sets.extend(key.first().map(|column| format!("{column} = {table}.{column}")));
            }
            format!("ON DUPLICATE KEY UPDATE {}", sets.join(", "))
        }
        _ => {
            let key = key.join(", ");
            if updates.is_empty() {
                return format!("ON CONFLICT ({key}) DO NOTHING");
            }
            let set = |(column, update): &(&str, OnConflict)| match update {
                OnConflict::Replace => format!("{column} = excluded.{column}"),
                OnConflict::Greatest => format!("{column} = MAX({table}.{column}, excluded.{column})"),
            };
            let sets: Vec<String> = updates.iter().map(set).collect();
            format!("ON CONFLICT ({key}) DO UPDATE SET {}", sets.join(", "))
        }
    }
}

/// Whether a statement costs more than the rows in it, so that one with some rows twice is better than several.
pub(crate) fn pads(backend: DbBackend) -> bool {
    backend == DbBackend::MySql
}

/// `(a, b) IN (...)` for `pairs` pairs of variables.
pub(crate) fn pairs_in(backend: DbBackend, columns: (&str, &str), pairs: usize) -> String {
    let list = vec!["(?, ?)"; pairs].join(", ");
    let (a, b) = columns;
    match backend {
        DbBackend::MySql => format!("({a}, {b}) IN ({list})"),
        _ => format!("({a}, {b}) IN (VALUES {list})"),
    }
}

/// The rows after one by its key, with the columns whose values go into the variables, in order. MySQL compares rows of
/// values one by one instead of starting at the right place, so there it is spelt out.
pub(crate) fn after_key<'a>(backend: DbBackend, key: &[&'a str]) -> (String, Vec<&'a str>) {
    if backend != DbBackend::MySql {
        return (format!("({}) > ({})", key.join(", "), vec!["?"; key.len()].join(", ")), key.to_vec());
    }
    let (mut cases, mut values) = (Vec::new(), Vec::new());
    for (index, column) in key.iter().enumerate() {
        let same = key.get(..index).unwrap_or_default();
        let mut case: Vec<String> = same.iter().map(|column| format!("{column} = ?")).collect();
        case.push(format!("{column} > ?"));
        cases.push(format!("({})", case.join(" AND ")));
        values.extend(same);
        values.push(*column);
    }
    (format!("({})", cases.join(" OR ")), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_write_the_same_upsert() {
        let updates = [("last_seq", OnConflict::Greatest), ("joined", OnConflict::Replace)];
        assert_eq!(
            on_conflict(DbBackend::Sqlite, "t", &["a", "b"], &updates),
            "ON CONFLICT (a, b) DO UPDATE SET last_seq = MAX(t.last_seq, excluded.last_seq), joined = excluded.joined"
        );
        assert_eq!(
            on_conflict(DbBackend::MySql, "t", &["a", "b"], &updates),
            "ON DUPLICATE KEY UPDATE last_seq = GREATEST(t.last_seq, VALUES(last_seq)), joined = VALUES(joined)"
        );
    }

    #[test]
    fn what_comes_after_a_key() {
        let (sql, values) = after_key(DbBackend::Sqlite, &["a", "b"]);
        assert_eq!((sql.as_str(), values), ("(a, b) > (?, ?)", vec!["a", "b"]));
        let (sql, values) = after_key(DbBackend::MySql, &["a", "b"]);
        assert_eq!((sql.as_str(), values), ("((a > ?) OR (a = ? AND b > ?))", vec!["a", "a", "b"]));
    }

    #[test]
    fn without_updates_an_existing_row_stays() {
        assert_eq!(on_conflict(DbBackend::Sqlite, "t", &["a"], &[]), "ON CONFLICT (a) DO NOTHING");
        assert_eq!(on_conflict(DbBackend::MySql, "t", &["a"], &[]), "ON DUPLICATE KEY UPDATE a = t.a");
    }
}
