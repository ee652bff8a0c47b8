//! One listener: counts, times and checks what it is sent.

use super::ledger::{Delivery, Ledger};
use super::{Shared, histogram, marker};
use crate::Error;
use crate::stomp::client::{LARGE_READ_BUFFER, SMALL_READ_BUFFER};
use crate::stomp::{Connection, Frame, message};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// From the TCP connection to the RECEIPT of the SUBSCRIBE.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// What it saw.
pub(super) struct Outcome {
    pub(super) latency: Histogram<u64>,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// It never listened, or was cut off before the end.
    pub(super) failed: bool,
}

/// Subscribes, says on `up` whether that worked, and listens until `stopped`.
pub(super) async fn run(
    index: usize,
    shared: Arc<Shared>,
    gate: Arc<Semaphore>,
    up: mpsc::Sender<(usize, bool)>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome { latency: histogram()?, duplicated: 0, out_of_order: 0, failed: false };
    let permit = gate.acquire().await;
    let subscribed = timeout(CONNECT_LIMIT, subscribe(index, &shared))
        .await
        .unwrap_or_else(|_| Err(Error::timeout("SUBSCRIBE to be confirmed", CONNECT_LIMIT)));
    drop(permit);
    up.send((index, subscribed.is_ok())).await.ok();
    drop(up);
    let mut socket = match subscribed {
        Ok(connection) => connection.into_socket(),
        Err(error) => {
            complain(index, &error.to_string());
            outcome.failed = true;
            return Ok(outcome);
        }
    };
    let mut ledgers: HashMap<u64, Ledger> = HashMap::new();
    loop {
        let next = tokio::select! { next = socket.next() => next, _ = stopped.changed() => break };
        match next {
            Some(Ok(Message::Text(text))) if !text.starts_with("ERROR") => {
                take(&text, &shared, &mut ledgers, &mut outcome);
            }
            Some(Ok(Message::Binary(bytes))) => {
                take(&String::from_utf8_lossy(&bytes), &shared, &mut ledgers, &mut outcome);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            other => {
                complain(index, &format!("ended: {other:?}"));
                outcome.failed = true;
                break;
            }
        }
    }
    timeout(Duration::from_secs(1), socket.send(message(&Frame::new("DISCONNECT")))).await.ok();
    Ok(outcome)
}

async fn subscribe(index: usize, shared: &Shared) -> Result<Connection, Error> {
    let headers = shared.connect_headers(index)?;
    let buffer = if shared.args.hold > 0 { SMALL_READ_BUFFER } else { LARGE_READ_BUFFER };
    let mut connection = Connection::open(&shared.args.url, &headers, buffer, CONNECT_LIMIT).await?;
    let mut frame = Frame::new("SUBSCRIBE")
        .with("id", "sub-0")
        .with("destination", shared.args.sub.replace("{d}", shared.id(index)))
        .with("ack", "auto")
        .with("receipt", "r0");
    frame.headers.extend(shared.authorization(index));
    connection.send(&frame).await?;
    loop {
        let frame = connection.next().await?;
        match frame.command.as_str() {
            "RECEIPT" => return Ok(connection),
            "ERROR" => return Err(Error::Refused(crate::stomp::describe(&frame))),
            _ => {}
        }
    }
}

/// One WebSocket message may hold several frames; the markers in it are enough to go by.
fn take(text: &str, shared: &Shared, ledgers: &mut HashMap<u64, Ledger>, outcome: &mut Outcome) {
    let now = shared.micros();
    let mut count = 0;
    for marker in marker::read(text).filter(|marker| marker.run == shared.run) {
        outcome.latency.record(now.saturating_sub(marker.micros).max(1)).ok();
        match ledgers.entry(marker.publisher).or_default().record(marker.number, shared.ids.len() as u64) {
            Delivery::InOrder => count += 1,
            Delivery::Late => {
                outcome.out_of_order += 1;
                count += 1;
            }
            Delivery::Again => outcome.duplicated += 1,
        }
    }
    if count > 0 {
        shared.delivered.fetch_add(count, Relaxed);
        shared.last_delivery.fetch_max(now, Relaxed);
    }
}

fn complain(index: usize, what: &str) {
    let short: String = what.chars().take(300).collect();
    eprintln!("subscriber {index}: {short}");
}
