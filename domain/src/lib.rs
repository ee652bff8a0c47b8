//! Verbatim: the `domain` crate.
