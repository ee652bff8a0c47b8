//! Verbatim: the `application` crate.
