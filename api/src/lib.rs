//! Verbatim's edge: everything a client talks to. The binary `verbatim` is a thin shell around this library, so
//! that tests and fuzzers reach the same code.

pub mod http;
pub mod realtime;
pub mod stomp;
pub mod ws;
