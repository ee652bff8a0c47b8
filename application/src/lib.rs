//! The use cases of Verbatim, and the ports (traits) through which they reach the world.
//!
//! Nothing here knows which adapter it has: an event log is an [`ports::EventLog`], whether SQLite or PostgreSQL.

pub mod app;
pub mod bus;
pub mod codec;
pub mod commands;
pub mod error;
pub mod ports;
pub mod push;
pub mod queries;
pub mod rfc3339;
pub mod trace;
pub mod views;

pub use app::{App, Caller, Context, Done};
pub use error::{AppError, ErrorClass, FieldError};
pub use trace::TraceContext;
