//! Verbatim: the `observability` crate.
