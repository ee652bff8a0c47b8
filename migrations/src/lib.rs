//! The schema of both databases, in both dialects.

pub mod read_models;
pub mod event_log;
