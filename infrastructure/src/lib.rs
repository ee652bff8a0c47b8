//! Verbatim: the `infrastructure` crate.
