//! The contract suites of the ports, run on the adapters of this crate, and what only these adapters promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, unreachable_pub)]

mod contract;
mod identity;
mod local_broadcast;
mod postgres;
mod redis_broadcast;
mod sqlite_files;
mod sqlite_full;
mod sqlite_log;
mod told;
