//! Black-box tests of the REST API: the real binary, spoken to over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what is not as it should be ends the test")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../kit/mod.rs"]
mod kit;

mod accounts;
mod cors;
mod direct_rooms;
mod edits;
mod history;
mod hostile;
mod idempotency;
mod membership;
mod pages;
mod paging;
mod positions;
mod proxies;
mod read_cursor;
mod rooms;
mod sessions;
mod tickets;
mod tokens;
mod unread;
