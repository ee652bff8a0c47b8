//! The API from outside, over an application with adapters in memory. What real adapters do is tested with them.

mod accounts;
mod client;
mod document;
mod edge;
mod events;
mod limits;
mod messages;
mod operators;
mod ports;
mod readers;
mod rooms;

use client::Client;
use ports::Admin;
use std::sync::Arc;

/// A service of its own.
async fn service() -> Client {
    Client::start(super::HttpOptions::default(), Arc::new(Admin::default()))
}
