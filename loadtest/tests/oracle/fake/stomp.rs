//! STOMP over WebSocket.

use super::state::{Event, Sending, Shared, pushed};
use futures_util::{SinkExt, StreamExt};
use poem::web::Data;
use poem::web::websocket::{Message, WebSocket, WebSocketStream};
use poem::{IntoResponse, handler};
use serde_json::{Value, json};
use uuid::Uuid;
use verbatim_loadtest::stomp::{Decoder, Frame};

#[handler]
pub(super) fn door(shared: Data<&Shared>, socket: WebSocket) -> impl IntoResponse + use<> {
    let shared = shared.0.clone();
    socket.protocols(["v12.stomp"]).on_upgrade(move |socket| async move {
        session(shared, socket).await;
    })
}

/// Ends when either side does, or when this client is too far behind.
async fn session(shared: Shared, socket: WebSocketStream) -> Option<()> {
    let (mut sink, mut stream) = socket.split();
    let mut decoder = Decoder::new();
    let mut me = Uuid::nil();
    let mut topic = Uuid::nil();
    let mut live = shared.lock().unwrap().topics.subscribe();
    loop {
        let mut out = Vec::new();
        tokio::select! {
            push = live.recv() => {
                let (room, value) = push.ok()?;
                if room == topic {
                    out.push(message(&value));
                }
            }
            input = stream.next() => match input?.ok()? {
                Message::Text(text) => decoder.push(text.as_bytes()),
                Message::Binary(bytes) => decoder.push(&bytes),
                Message::Close(_) => return None,
                _ => continue,
            },
        }
        while let Some(frame) = decoder.next().ok()? {
            if frame.command == "CONNECT" {
                me = frame.header("Authorization")?.strip_prefix("Bearer ")?.parse().ok()?;
                out.push(Frame::new("CONNECTED").with("version", "1.2"));
                continue;
            }
            let mut receipt = Frame::new("RECEIPT").with("receipt-id", frame.header("receipt")?);
            let destination = frame.header("destination")?.to_owned();
            let mut parts = destination.split('/').skip(2);
            let room: Uuid = parts.next()?.parse().ok()?;
            let mut state = shared.lock().unwrap();
            if frame.command == "SUBSCRIBE" {
                topic = room;
                live = state.topics.subscribe();
                if let Some(after) = frame.number("after-seq") {
                    let missed = state.rooms[&room].messages.iter().skip(after as usize);
                    out.extend(missed.map(|old| message(&pushed("message", old))));
                }
            } else {
                let body: Value = serde_json::from_slice(&frame.body).ok()?;
                if parts.next() == Some("read") {
                    state.record(Event::Read { room, member: me, seq: body["seq"].as_u64()? });
                } else {
                    let fresh = state.new_id().to_string();
                    let key = frame.header("idempotency-key").map_or(fresh, str::to_owned);
                    match state.send(room, me, &key, body["body"].as_str()?) {
                        Sending::Done(sent) => {
                            receipt = receipt.with("message-id", sent.message_id.to_string());
                            receipt = receipt.with("seq", sent.seq.to_string());
                        }
                        Sending::Outsider | Sending::Clash => {
                            receipt.command = "ERROR".to_owned();
                            receipt.body = json!({ "status": 403 }).to_string().into_bytes();
                        }
                    }
                }
            }
            out.push(receipt);
        }
        for frame in out {
            sink.send(Message::Text(String::from_utf8(frame.encode()).ok()?)).await.ok()?;
        }
    }
}

fn message(value: &Value) -> Frame {
    Frame::new("MESSAGE")
        .with("subscription", "sub-0")
        .with("seq", value["seq"].to_string())
        .with("type", value["type"].as_str().unwrap_or_default())
        .with_body(value.to_string())
}
