//! Schema of sessions, failed log-ins and tickets.

/// Migrations of the SQLite file, oldest first, as in [`crate::event_log::SQLITE`].
pub const SQLITE: &[(&str, &str)] =
    &[("0001_sessions_and_failures", include_str!("../sqlite/sessions/0001_sessions_and_failures.sql"))];

/// Migrations of the PostgreSQL tables, as [`SQLITE`]. They may share a database with the event log.
pub const POSTGRES: &[(&str, &str)] = &[(
    "0001_sessions_failures_and_tickets",
    include_str!("../postgres/sessions/0001_sessions_failures_and_tickets.sql"),
)];
