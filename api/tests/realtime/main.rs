//! Black-box tests of what is pushed, and of what must survive.

#[path = "../common/mod.rs"]
mod common;

mod acks;
mod changes;
mod endings;
mod frames;
mod negotiation;
mod resume;
mod smoke;
mod streams;
mod unread;
