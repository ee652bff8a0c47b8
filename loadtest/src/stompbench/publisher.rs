//! One sender: as many sends in flight as the window lets, or one every so often.

use super::marker::{self, Marker};
use super::{Shared, histogram, split_header};
use crate::Error;
use crate::stomp::client::{LARGE_READ_BUFFER, Socket};
use crate::stomp::{Connection, Decoder, Frame, describe, message};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// A RECEIPT that has not come after this will not come.
const RECEIPT_LIMIT: Duration = Duration::from_secs(30);
/// The timer wakes up to a millisecond late, which is not the server's doing; a sender later than this was held up,
/// and the message counts from when it was due (else a stalled server would slow the clock that measures it).
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// ERROR frames that are shown before the rest is only counted.
const MAX_SHOWN: usize = 2;

/// What was confirmed.
pub(super) struct Outcome {
    /// Accepted messages of each destination.
    pub(super) accepted: Vec<u64>,
    pub(super) receipts: Histogram<u64>,
}

struct InFlight {
    window: Semaphore,
    /// When each message was written, in microseconds of the run's clock.
    written: Vec<AtomicU64>,
}

/// Sends this publisher's share and waits for the receipts.
pub(super) async fn run(index: usize, shared: Arc<Shared>) -> Result<Outcome, Error> {
    let headers = shared.connect_headers(index)?;
    let url = shared.args.publisher_url(index);
    let connection = Connection::open(url, &headers, LARGE_READ_BUFFER, CONNECT_LIMIT).await?;
    let (sink, stream) = connection.into_socket().split();
    let in_flight = Arc::new(InFlight {
        window: Semaphore::new(shared.args.window),
        written: (0..shared.args.per_publisher()).map(|_| AtomicU64::new(0)).collect(),
    });
    let reader = tokio::spawn(receive(index, shared.clone(), in_flight.clone(), stream));
    let sink = send_all(index, &shared, &in_flight, sink).await?;
    let outcome = reader.await.map_err(|error| Error::Setup(error.to_string()))?;
    drop(sink);
    outcome
}

async fn send_all(
    index: usize,
    shared: &Shared,
    in_flight: &InFlight,
    mut sink: SplitSink<Socket, Message>,
) -> Result<SplitSink<Socket, Message>, Error> {
    let args = &shared.args;
    let gap = (args.rate > 0).then(|| Duration::from_secs_f64(args.pubs as f64 / args.rate as f64));
    let start = Instant::now();
    for (number, written) in in_flight.written.iter().enumerate() {
        let mut due = shared.micros();
        if let Some(gap) = gap {
            let at = start + gap.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
            sleep_until(at).await;
            due = shared.micros();
            let late = at.elapsed();
            if late > TIMER_SLACK {
                due = due.saturating_sub(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            }
        }
        // Closed by the reader when the connection is no use any more.
        let Ok(permit) = in_flight.window.acquire().await else { break };
        permit.forget();
        if gap.is_none() {
            due = shared.micros();
        }
        let marker = Marker { run: shared.run, publisher: index as u64, number: number as u64, micros: due };
        let mut frame = Frame::new("SEND")
            .with("destination", args.send.replace("{d}", shared.id(index + number)))
            .with("content-type", args.content_type.as_str())
            .with("receipt", format!("{index}-{number}"));
        for header in &args.send_header {
            let (name, value) = split_header(header)?;
            frame = frame.with(name, value);
        }
        let frame = frame.with_body(args.body.replace("{m}", &marker::write(marker, args.size)));
        written.store(shared.micros(), Relaxed);
        if sink.send(message(&frame)).await.is_err() {
            break;
        }
    }
    Ok(sink)
}

async fn receive(
    index: usize,
    shared: Arc<Shared>,
    in_flight: Arc<InFlight>,
    mut stream: SplitStream<Socket>,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome { accepted: vec![0; shared.ids.len()], receipts: histogram()? };
    let mut decoder = Decoder::new();
    let (mut answered, mut errors) = (0, 0);
    while answered < in_flight.written.len() {
        match timeout(RECEIPT_LIMIT, stream.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => decoder.push(text.as_bytes()),
            Ok(Some(Ok(Message::Binary(bytes)))) => decoder.push(&bytes),
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => continue,
            other => {
                eprintln!("publisher {index}: {other:?}");
                break;
            }
        }
        while let Some(frame) = decoder.next().map_err(|error| Error::Protocol(error.to_string()))? {
            match frame.command.as_str() {
                "RECEIPT" => confirm(index, &frame, &shared, &in_flight, &mut outcome),
                "ERROR" => {
                    errors += 1;
                    if errors <= MAX_SHOWN {
                        eprintln!("publisher {index}: {}", describe(&frame));
                    }
                }
                _ => continue,
            }
            answered += 1;
            in_flight.window.add_permits(1);
        }
    }
    in_flight.window.close();
    Ok(outcome)
}

fn confirm(index: usize, frame: &Frame, shared: &Shared, in_flight: &InFlight, outcome: &mut Outcome) {
    let number = frame.header("receipt-id").and_then(|id| id.split_once('-')?.1.parse::<usize>().ok());
    let Some(number) = number else { return };
    let Some(written) = in_flight.written.get(number) else { return };
    outcome.receipts.record(shared.micros().saturating_sub(written.load(Relaxed)).max(1)).ok();
    let dest = (index + number) % outcome.accepted.len().max(1);
    if let Some(count) = outcome.accepted.get_mut(dest) {
        *count += 1;
    }
}
