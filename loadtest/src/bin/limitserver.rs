//! `limitserver [ADDRESS]`: the practical limit of fan-out on a machine. STOMP over WebSocket with nothing behind it
//! (no accounts, no store, one encoded frame shared by all subscribers of a destination). Only a yardstick for
//! `stompbench`: it trusts its clients to send each frame in one WebSocket message of its own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a yardstick for one run; it may die of a broken start"
)]

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Frames that wait for one client; one that falls further behind is dropped. Room for a whole run of the bench, as
/// flow control is not what this server measures.
const MAX_QUEUED: usize = 1 << 20;
/// Frames that are written before the socket is flushed.
const WRITE_BATCH: usize = 64;
/// Per connection; the default of 128 KiB would be most of the memory of an idle one.
const READ_BUFFER_BYTES: usize = 4096;

type Outbox = mpsc::Sender<Message>;
// A std lock: it is held for a few pushes into channels and never across an await.
type Topics = Arc<Mutex<HashMap<String, Vec<Outbox>>>>;

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9500".into());
    let listener = TcpListener::bind(&address).await.expect("address is free");
    let topics = Topics::default();
    loop {
        // Out of file descriptors, say: the other connections go on.
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).ok();
        tokio::spawn(serve(stream, topics.clone()));
    }
}

#[expect(clippy::result_large_err, reason = "the signature that the handshake callback must have")]
fn choose_protocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("v12.stomp"));
    Ok(response)
}

async fn serve(stream: TcpStream, topics: Topics) {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let accepted =
        tokio_tungstenite::accept_hdr_async_with_config(stream, choose_protocol, Some(config)).await;
    let Ok(socket) = accepted else { return };
    let (sink, mut stream) = socket.split();
    let (outbox, inbox) = mpsc::channel(MAX_QUEUED);
    tokio::spawn(write(sink, inbox));
    while let Some(Ok(message)) = stream.next().await {
        let frame = match &message {
            Message::Text(text) => text.as_str(),
            Message::Binary(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            _ => continue,
        };
        if answer(frame, &outbox, &topics).is_err() {
            return;
        }
    }
}

/// Does what one frame asks for; an error means that the client's queue is full.
fn answer(frame: &str, outbox: &Outbox, topics: &Topics) -> Result<(), mpsc::error::TrySendError<Message>> {
    if frame.starts_with("CONNECT") {
        return outbox.try_send(Message::text("CONNECTED\nversion:1.2\n\n\0"));
    }
    let destination = header(frame, "destination").unwrap_or_default();
    if frame.starts_with("SUBSCRIBE") {
        topics.lock().unwrap().entry(destination.to_owned()).or_default().push(outbox.clone());
    } else if frame.starts_with("SEND") {
        let body = frame.split_once("\n\n").map_or("\0", |(_, body)| body);
        let text = format!("MESSAGE\nsubscription:sub-0\nmessage-id:1\ndestination:{destination}\n\n{body}");
        let shared = Utf8Bytes::from(text);
        if let Some(subscribers) = topics.lock().unwrap().get_mut(destination) {
            subscribers.retain(|subscriber| subscriber.try_send(Message::Text(shared.clone())).is_ok());
        }
    }
    match header(frame, "receipt") {
        Some(id) => outbox.try_send(Message::text(format!("RECEIPT\nreceipt-id:{id}\n\n\0"))),
        None => Ok(()),
    }
}

async fn write(mut sink: SplitSink<WebSocketStream<TcpStream>, Message>, mut inbox: mpsc::Receiver<Message>) {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    while inbox.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        for message in batch.drain(..) {
            if sink.feed(message).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

fn header<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let head = frame.split_once("\n\n").map_or(frame, |(head, _)| head);
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
