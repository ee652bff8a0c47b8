//! Verbatim: the `projections` crate.
