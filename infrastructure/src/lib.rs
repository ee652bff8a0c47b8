//! Adapters of the ports in `verbatim_application` for one machine: event log, sessions and log-in limits on SQLite,
//! broadcast within the process; and what needs no server anywhere: passwords, tokens, clock and ids.

mod sqlite;
pub mod sqlite_log;

pub use sqlite::{Migration, OpenError, Problem};
pub use sqlite_log::{SqliteEventLog, SqliteLogOptions};
mod broadcast;
mod memory;
mod passwords;
mod system;
mod tokens;
pub use broadcast::LocalBroadcast;
pub use memory::{MemoryTickets, SqliteSessions};
pub use passwords::Argon2Hasher;
pub use system::{SystemClock, UuidV7Generator};
pub use tokens::{JwtIssuer, load_or_create_secret};
