//! Verbatim: the `api` crate.

fn main() {}
