//! Black-box tests of what is pushed, and of what must survive.

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
