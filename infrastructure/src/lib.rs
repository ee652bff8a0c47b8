//! Adapters of the ports in `verbatim_application`. For one machine: event log, sessions and log-in limits on SQLite,
//! broadcast within the process. For a cluster: event log, leadership, sessions, log-in limits and tickets on PostgreSQL.
//! And what needs no server anywhere: passwords, tokens, clock and ids.

pub mod broadcast;
mod files;
pub mod passwords;
pub mod postgres;
mod random;
pub mod redis_broadcast;
pub mod secret;
pub mod sessions;
mod sqlite;
pub mod sqlite_log;
pub mod system;
pub mod tickets;
pub mod tokens;

pub use broadcast::LocalBroadcast;
pub use passwords::Argon2Hasher;
pub use postgres::{
    PostgresEventLog, PostgresLeadership, PostgresLogOptions, PostgresLoginLimiter, PostgresOpenError,
    PostgresSessionStore, PostgresSessions, PostgresSessionsOptions, PostgresTickets,
};
pub use redis_broadcast::{RedisBroadcast, RedisObserver, UnobservedRedis};
pub use secret::{JwtSecret, load_or_create_secret};
pub use sessions::{SqliteLoginLimiter, SqliteSessionStore, SqliteSessions};
pub use sqlite::{CALL_LIMIT, CALL_QUEUE, Migration, OpenError, Problem};
pub use sqlite_log::{SqliteEventLog, SqliteLogOptions};
pub use system::{SystemClock, UuidV7Generator};
pub use tickets::MemoryTickets;
pub use tokens::JwtIssuer;
