//! Verbatim: the `migrations` crate.
