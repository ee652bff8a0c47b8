//! A chat server of some hundred lines that keeps everything in one file of JSON lines: what the oracle's own tests
//! torment instead of `verbatim`. It speaks just as much of the interface as the oracle uses, and can be told, by the
//! environment variable `FAKE_FAULT`, to break one promise (see [`state::Fault`]), which the oracle must then notice.

mod rest;
mod state;
mod stomp;

use poem::listener::TcpListener;
use poem::{EndpointExt, Route, Server, get};
use state::{Shared, State};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Serves until SIGTERM.
pub(super) async fn serve(listen: &str, data: &Path) {
    let shared: Shared = Arc::new(Mutex::new(State::open(data)));
    let app =
        Route::new().at("/ws", get(stomp::door)).at("/*path", poem::endpoint::make(rest::door)).data(shared);
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    tokio::select! {
        served = Server::new(TcpListener::bind(listen)).run(app) => served.unwrap(),
        _ = term.recv() => {}
    }
}
