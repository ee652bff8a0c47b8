//! Adapters of the ports in `verbatim_application` for one machine: event log, sessions and log-in limits on SQLite,
//! broadcast within the process; and what needs no server anywhere: passwords, tokens, clock and ids.

mod sqlite;
pub mod sqlite_log;

pub use sqlite::{Migration, OpenError, Problem};
pub use sqlite_log::{SqliteEventLog, SqliteLogOptions};
