//! Verbatim's edge: everything a client talks to. The binary `verbatim` is a thin shell around this library, so
//! that tests and fuzzers reach the same code.

pub mod cli;
pub mod config;
pub mod http;
mod listen;
mod operations;
pub mod realtime;
mod serve;
pub mod stomp;
mod telemetry;
mod trace;
pub mod verbs;
pub mod wiring;
pub mod ws;
