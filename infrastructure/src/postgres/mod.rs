//! Adapters on PostgreSQL, for the cluster mode: the event log, leadership, and what nodes share of sessions.
//!
//! Every call has a time limit, also when the server hangs or the network swallows everything; connections that broke are
//! replaced by the next call.

mod connect;
mod error;
mod leadership;
mod log;
mod migrate;
mod pool;
mod sessions;

pub use connect::{CONNECT_LIMIT, ConnectError};
pub use error::PostgresOpenError;
pub use leadership::{PostgresLeadership, SILENCE_LIMIT};
pub use log::{APPEND_CONNECTIONS, PostgresEventLog, PostgresLogOptions, READ_CONNECTIONS, deep_check};
pub use pool::{ANSWER_LIMIT, CALL_QUEUE, CallError, PoolStats, READY_LIMIT};
pub use sessions::{
    PostgresLoginLimiter, PostgresSessionStore, PostgresSessions, PostgresSessionsOptions, PostgresTickets,
    SESSION_CONNECTIONS,
};
