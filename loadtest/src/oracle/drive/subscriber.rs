//! Clients that follow a room for the whole run, over STOMP or SSE, and resume wherever they were cut off.

use super::world::World;
use crate::http::{CallError, Message};
use crate::ids::RoomId;
use crate::oracle::records::Delivery;
use crate::stomp::{Connection, Frame, describe};
use rand::Rng;
use rand::rngs::StdRng;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Of a hundred deliveries, so many are followed by a disconnection of the client's own will.
const LEAVE_PERCENT: u32 = 2;
/// A stream without even a heart-beat for this long is opened anew.
const SILENCE: Duration = Duration::from_secs(60);

/// A message as it is pushed: the REST message and what happened to it.
#[derive(Deserialize)]
struct Pushed {
    #[serde(rename = "type")]
    kind: Option<String>,
}

struct Follower {
    world: Arc<World>,
    who: usize,
    room: RoomId,
    number: usize,
    name: String,
    rng: StdRng,
    /// Highest number seen, to resume after.
    highest: u64,
}

/// Why a connection came to its end.
enum End {
    /// The client wanted it.
    Left,
    /// The server or the network did.
    Cut,
}

/// Follows a room over STOMP until aborted; says once on `ready` that it is listening.
pub(super) async fn over_stomp(
    world: Arc<World>,
    who: usize,
    place: usize,
    live: bool,
    ready: mpsc::Sender<()>,
) {
    let name = format!("{}-{place}-{who}", if live { "stomp-live" } else { "stomp" });
    let Some(mut follower) = Follower::new(world, who, place, name) else { return };
    let mut ready = Some(ready);
    // Only the first connection of a live follower may go without a number: later ones have something to resume.
    let mut after = (!live).then_some(0);
    loop {
        follower.world.until_up().await;
        if let End::Cut = follower.listen_stomp(after, &mut ready).await {
            follower.world.pause().await;
        }
        after = Some(follower.highest);
    }
}

/// Follows a room over SSE until aborted; says once on `ready` that it is listening.
pub(super) async fn over_sse(world: Arc<World>, who: usize, place: usize, ready: mpsc::Sender<()>) {
    let Some(mut follower) = Follower::new(world, who, place, format!("sse-{place}-{who}")) else { return };
    let mut ready = Some(ready);
    loop {
        follower.world.until_up().await;
        if let End::Cut = follower.listen_sse(&mut ready).await {
            follower.world.pause().await;
        }
    }
}

impl Follower {
    fn new(world: Arc<World>, who: usize, place: usize, name: String) -> Option<Self> {
        let room = world.places.get(place)?.id;
        let number = world.journal.subscriber(name.clone(), room);
        let rng = world.rng(0, 3000 + number as u64);
        Some(Self { world, who, room, number, name, rng, highest: 0 })
    }

    fn token(&self) -> Arc<str> {
        self.world.accounts.get(self.who).map(super::world::Account::token).unwrap_or_default()
    }

    async fn listen_stomp(&mut self, after: Option<u64>, ready: &mut Option<mpsc::Sender<()>>) -> End {
        let (url, limit) = (self.world.launch.ws(), self.world.config.call_limit);
        let Ok(mut connection) = Connection::open_as(&url, &self.token(), limit).await else {
            return End::Cut;
        };
        let mut frame = Frame::new("SUBSCRIBE")
            .with("id", "sub-0")
            .with("destination", format!("/topic/{}", self.room))
            .with("receipt", "subscribed");
        if let Some(seq) = after {
            frame = frame.with("after-seq", seq.to_string());
        }
        if connection.send(&frame).await.is_err() {
            return End::Cut;
        }
        loop {
            let Ok(frame) = connection.next().await else { return End::Cut };
            match frame.command.as_str() {
                "MESSAGE" => {
                    let header = frame.number("seq");
                    let kind = frame.header("type").map(str::to_owned);
                    let seq = self.take(&frame.body, kind);
                    if seq.is_some() && seq != header {
                        let what = format!("{}: header seq {header:?}, body {seq:?}", self.name);
                        self.world.journal.incident(what);
                    }
                    if seq.is_some() && self.wants_to_leave() {
                        return End::Left;
                    }
                }
                "RECEIPT" => say(ready).await,
                "ERROR" => {
                    self.complain(&frame);
                    return End::Cut;
                }
                _ => {}
            }
        }
    }

    async fn listen_sse(&mut self, ready: &mut Option<mpsc::Sender<()>>) -> End {
        let opened = self.world.api.room_events(&self.token(), self.room, Some(self.highest)).await;
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                if let CallError::Refused { .. } = error {
                    self.world.journal.incident(format!("{}: {error}", self.name));
                }
                return End::Cut;
            }
        };
        say(ready).await;
        loop {
            let Ok(event) = stream.next(SILENCE).await else { return End::Cut };
            let kind = Some(event.name.clone()).filter(|name| !name.is_empty());
            if let Some(seq) = self.take(event.data.as_bytes(), kind) {
                if event.id != seq.to_string() {
                    self.world.journal.incident(format!("{}: #{seq} came with id {:?}", self.name, event.id));
                }
                if self.wants_to_leave() {
                    return End::Left;
                }
            }
        }
    }

    /// Notes a pushed message and answers its number; edits, joins and the like are none. The body's `type` counts
    /// before what the envelope says.
    fn take(&mut self, json: &[u8], kind: Option<String>) -> Option<u64> {
        let pushed: Pushed = serde_json::from_slice(json).ok()?;
        if pushed.kind.or(kind).is_some_and(|kind| kind != "message") {
            return None;
        }
        let message: Message = match serde_json::from_slice(json) {
            Ok(message) => message,
            Err(error) => {
                let what = format!("{}: {error} in {}", self.name, String::from_utf8_lossy(json));
                self.world.journal.incident(what);
                return None;
            }
        };
        let body = if message.deleted { None } else { message.body };
        self.highest = self.highest.max(message.seq);
        let delivery = Delivery { seq: message.seq, message_id: message.message_id, body };
        self.world.journal.deliver(self.number, delivery);
        Some(message.seq)
    }

    fn wants_to_leave(&mut self) -> bool {
        self.rng.random_range(0..100) < LEAVE_PERCENT
    }

    /// Being told to reconnect is part of the deal; being refused a room one is a member of is not.
    fn complain(&self, frame: &Frame) {
        let problem: serde_json::Value = serde_json::from_slice(&frame.body).unwrap_or_default();
        if matches!(problem.get("status").and_then(serde_json::Value::as_u64), Some(401 | 403 | 404)) {
            self.world.journal.incident(format!("{}: {}", self.name, describe(frame)));
        }
    }
}

async fn say(ready: &mut Option<mpsc::Sender<()>>) {
    if let Some(ready) = ready.take() {
        ready.send(()).await.ok();
    }
}
