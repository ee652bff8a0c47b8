//! Black-box tests of what is pushed, and of what must survive.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it finds something wrong")]

#[path = "../common/mod.rs"]
mod common;

mod acks;
mod changes;
mod concurrency;
mod disk;
mod durability;
mod endings;
mod frames;
mod negotiation;
mod resume;
mod slow;
mod smoke;
mod stop;
mod streams;
mod unread;
