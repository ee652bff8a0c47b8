//! Verbatim: the `loadtest` crate.

fn main() {}
