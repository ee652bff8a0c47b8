//! Private instances of the real servers that tests and benchmarks need: PostgreSQL, MariaDB, Redis and nginx, each on a
//! port and in a folder of its own, so that tests run side by side and may kill them. And a [`Proxy`] that cuts a client
//! off from a server the way a broken network does.
//!
//! Everything here blocks and panics: it is support for tests and benchmarks, where a server that does not start is the
//! end. Servers end with the value that stands for them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test whose server does not start has failed")]

mod child;
mod database;
mod mariadb;
mod nginx;
mod port;
mod postgres;
mod programs;
mod proxy;
mod redis;

pub use database::{Database, mysql_database, postgres_database};
pub use mariadb::MariaDb;
pub use nginx::Nginx;
pub use port::{Port, wait_for_port};
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use redis::{Redis, RedisCluster};

/// How much a database server does for a power cut. Killing the process never loses what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: for tests, which kill processes, never machines.
    Process,
    /// Everything it can, as in production: for benchmarks.
    Machine,
}
