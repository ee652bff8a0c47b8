//! The rules of a room, one by one, and what holds after any commands at all.

#[path = "../common/mod.rs"]
mod common;
mod examples;
mod membership;
mod messages;
mod opening;
mod properties;
