//! The schema of both databases, in both dialects.

pub mod event_log;
pub mod read_models;
pub mod sessions;
