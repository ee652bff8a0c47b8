//! Verbatim: the `migrations` crate.

pub mod event_log;
pub mod sessions;
