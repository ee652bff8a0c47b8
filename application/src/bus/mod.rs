//! Command bus.
