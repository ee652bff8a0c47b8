//! The STOMP module of `verbatim-api`, compiled alone for the fuzzers.

#[path = "../../src/stomp/mod.rs"]
pub mod stomp;
