//! Several nodes of the real binary on real servers behind the real nginx.conf, from the outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, which print what they measure"
)]

mod away;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod kit;
mod nodes;
mod operators;
mod rolling;
mod seen;
mod takeover;
