//! Schema of the event log.

/// Migrations of the SQLite event log, oldest first: name (its number, `_`, what it does) and SQL. One that has been
/// released never changes; a change is a new one.
pub const SQLITE: &[(&str, &str)] =
    &[("0001_events_and_snapshots", include_str!("../sqlite/event_log/0001_events_and_snapshots.sql"))];

/// Migrations of the PostgreSQL event log, as [`SQLITE`].
pub const POSTGRES: &[(&str, &str)] =
    &[("0001_events_and_snapshots", include_str!("../postgres/event_log/0001_events_and_snapshots.sql"))];
