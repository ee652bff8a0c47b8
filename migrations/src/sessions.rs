//! Schema of sessions and failed log-ins.

/// Migrations of the SQLite file, oldest first, as in [`crate::event_log::SQLITE`].
pub const SQLITE: &[(&str, &str)] =
    &[("0001_sessions_and_failures", include_str!("../sqlite/sessions/0001_sessions_and_failures.sql"))];
