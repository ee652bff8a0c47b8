//! What is kept in PostgreSQL, and what happens when the server or the network fails.

mod crashes;
mod fate;
mod identity;
mod leadership;
mod log;
mod outages;
mod refusals;
mod restore;

use std::{
    future::Future,
    time::{Duration, Instant},
};
use verbatim_servers::{Postgres, Proxy};

/// A server of one's own with an empty database, which may be killed, and its URL.
pub fn private_server() -> (Postgres, String) {
    let server = Postgres::start();
    server.create_database("verbatim");
    let url = server.url("verbatim");
    (server, url)
}

/// A proxy in front of the server of a URL, and the URL through it.
pub fn proxied(url: &str) -> (Proxy, String) {
    let (before, rest) = url.split_once("127.0.0.1:").unwrap();
    let (port, after) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(port.parse().unwrap());
    let url = format!("{before}127.0.0.1:{}/{after}", proxy.port());
    (proxy, url)
}

/// Tries again every `pause` until it gives something, for 30 s at most; gives that and how long it took.
pub async fn until<T, F: Future<Output = Option<T>>>(
    pause: Duration,
    mut attempt: impl FnMut() -> F,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never comes");
        tokio::time::sleep(pause).await;
    }
}
