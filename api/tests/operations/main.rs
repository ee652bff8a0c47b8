//! Black-box tests of what operators do and see: the command line, settings, logs, metrics, projections, import.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what is not as it should be ends the test")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../kit/mod.rs"]
mod kit;

mod admin;
mod command_line;
mod corpus_soak;
mod crowds;
mod events;
mod import;
mod logged;
mod logs;
mod metrics;
mod projections;
mod rebuild;
mod recovery;
mod secrets;
mod settings;
mod spans;
mod traces;
