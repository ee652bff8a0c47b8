//! The schema of both databases, in both dialects.

pub mod read_models;
//! Verbatim: the `migrations` crate.
pub mod event_log;
