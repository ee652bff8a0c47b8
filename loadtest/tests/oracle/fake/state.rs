//! All state, folded from the file; every change is written before it is applied.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;
use uuid::Uuid;

pub(super) type Shared = Arc<Mutex<State>>;

/// Pushes that a slow client may be behind before it is cut off.
const MAX_BEHIND: usize = 4096;

/// Messages that [`Fault::Lose`] loses, so that some of them were acknowledged.
const LOST: usize = 10;

/// Which promise is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    None,
    /// What was written last, some messages and all that came between and after, is gone after a restart.
    Lose,
    /// Idempotency keys are not kept: what is sent again is stored again.
    Double,
    /// Every 10th push is skipped.
    SkipPush,
    /// Every 10th push is sent twice.
    RepeatPush,
    /// Whoever has something unread has one more.
    Miscount,
    /// Marking as read is acknowledged and not done.
    ForgetRead,
}

fn fault() -> Fault {
    match std::env::var("FAKE_FAULT").as_deref() {
        Ok("lose") => Fault::Lose,
        Ok("double") => Fault::Double,
        Ok("skip-push") => Fault::SkipPush,
        Ok("repeat-push") => Fault::RepeatPush,
        Ok("miscount") => Fault::Miscount,
        Ok("forget-read") => Fault::ForgetRead,
        _ => Fault::None,
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Event {
    Registered { member: Uuid, email: String },
    Opened { room: Uuid, name: String },
    Joined { room: Uuid, member: Uuid },
    Left { room: Uuid, member: Uuid },
    Sent { room: Uuid, message: Message, key: String },
    Changed { room: Uuid, seq: u64, body: Option<String> },
    Read { room: Uuid, member: Uuid, seq: u64 },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) message_id: Uuid,
    pub(super) room_id: Uuid,
    pub(super) seq: u64,
    pub(super) sender_id: Uuid,
    pub(super) body: Option<String>,
    pub(super) deleted: bool,
}

#[derive(Default)]
pub(super) struct Room {
    pub(super) name: String,
    pub(super) members: BTreeSet<Uuid>,
    pub(super) messages: Vec<Message>,
    pub(super) read: BTreeMap<Uuid, u64>,
}

impl Room {
    pub(super) fn last(&self) -> u64 {
        self.messages.len() as u64
    }
}

pub(super) struct State {
    file: File,
    fault: Fault,
    pub(super) emails: BTreeMap<String, Uuid>,
    pub(super) rooms: BTreeMap<Uuid, Room>,
    keys: BTreeMap<(Uuid, String), (Uuid, u64, String)>,
    ids: u128,
    pushes: u64,
    /// Room and pushed message.
    pub(super) topics: broadcast::Sender<(Uuid, Value)>,
    /// Member and unread row.
    pub(super) unread: broadcast::Sender<(Uuid, Value)>,
}

/// What a send came to.
pub(super) enum Sending {
    Done(Message),
    Outsider,
    Clash,
}

impl State {
    pub(super) fn open(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join("events.ndjson");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // A kill may have cut the last line short; it was not acknowledged then.
        let whole = match fault() {
            Fault::Lose => text.rmatch_indices("{\"Sent\"").nth(LOST).map_or(text.len(), |(at, _)| at),
            _ => text.rfind('\n').map_or(0, |end| end + 1),
        };
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.set_len(whole as u64).unwrap();
        let mut state = Self {
            file,
            fault: fault(),
            emails: BTreeMap::new(),
            rooms: BTreeMap::new(),
            keys: BTreeMap::new(),
            ids: 0,
            pushes: 0,
            topics: broadcast::channel(MAX_BEHIND).0,
            unread: broadcast::channel(MAX_BEHIND).0,
        };
        text[..whole].lines().for_each(|line| state.apply(serde_json::from_str(line).unwrap()));
        state
    }

    pub(super) fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub(super) fn record(&mut self, event: Event) {
        if self.fault == Fault::ForgetRead && matches!(event, Event::Read { .. }) {
            return;
        }
        let line = serde_json::to_string(&event).unwrap() + "\n";
        self.file.write_all(line.as_bytes()).unwrap();
        self.apply(event);
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Registered { member, email } => {
                self.ids = self.ids.max(member.as_u128());
                self.emails.insert(email, member);
            }
            Event::Opened { room, name } => {
                self.ids = self.ids.max(room.as_u128());
                self.rooms.insert(room, Room { name, ..Room::default() });
            }
            Event::Joined { room, member } => {
                let room = self.rooms.get_mut(&room).unwrap();
                room.members.insert(member);
                room.read.insert(member, room.last());
            }
            Event::Left { room, member } => drop(self.rooms.get_mut(&room).unwrap().members.remove(&member)),
            Event::Sent { room, message, key } => {
                self.ids = self.ids.max(message.message_id.as_u128());
                if self.fault != Fault::Double {
                    let content = (room, message.seq, message.body.clone().unwrap());
                    self.keys.insert((message.sender_id, key), content);
                }
                let place = self.rooms.get_mut(&room).unwrap();
                let cursor = place.read.entry(message.sender_id).or_default();
                *cursor = (*cursor).max(message.seq);
                place.messages.push(message.clone());
                self.push(room, "message", &message);
            }
            Event::Changed { room, seq, body } => {
                let messages = &mut self.rooms.get_mut(&room).unwrap().messages;
                // Lost on purpose, perhaps.
                let Some(message) = messages.get_mut(seq as usize - 1) else { return };
                (message.deleted, message.body) = (body.is_none(), body);
                let kind = if message.deleted { "message_deleted" } else { "message_edited" };
                let message = message.clone();
                self.push(room, kind, &message);
            }
            Event::Read { room, member, seq } => {
                let place = self.rooms.get_mut(&room).unwrap();
                let (last, cursor) = (place.last(), place.read.entry(member).or_default());
                *cursor = (*cursor).max(seq.min(last));
                let row = self.row(room, member);
                self.unread.send((member, row)).ok();
            }
        }
    }

    fn push(&mut self, room: Uuid, kind: &str, message: &Message) {
        self.pushes += 1;
        let times = match self.fault {
            Fault::SkipPush if self.pushes.is_multiple_of(10) => 0,
            Fault::RepeatPush if self.pushes.is_multiple_of(10) => 2,
            _ => 1,
        };
        for _ in 0..times {
            self.topics.send((room, pushed(kind, message))).ok();
        }
        for member in self.rooms[&room].members.clone() {
            let row = self.row(room, member);
            self.unread.send((member, row)).ok();
        }
    }

    /// What an unread push says.
    pub(super) fn row(&self, room: Uuid, member: Uuid) -> Value {
        let place = &self.rooms[&room];
        let read = place.read.get(&member).copied().unwrap_or(0);
        let count =
            |message: &&Message| message.seq > read && (!message.deleted || self.fault == Fault::Miscount);
        let unread = match (self.fault, place.messages.iter().filter(count).count()) {
            (Fault::Miscount, some @ 1..) => some + 1,
            (_, right) => right,
        };
        json!({ "room_id": room, "unread": unread, "last_seq": place.last(), "read_seq": read })
    }

    pub(super) fn send(&mut self, room: Uuid, sender_id: Uuid, key: &str, body: &str) -> Sending {
        let known = self.keys.get(&(sender_id, key.to_owned()));
        if let Some((known_room, seq, content)) = known {
            if (*known_room, content.as_str()) != (room, body) {
                return Sending::Clash;
            }
            return Sending::Done(self.rooms[&room].messages[*seq as usize - 1].clone());
        }
        if !self.rooms[&room].members.contains(&sender_id) {
            return Sending::Outsider;
        }
        let (message_id, seq) = (self.new_id(), self.rooms[&room].last() + 1);
        let body = Some(body.to_owned());
        let message = Message { message_id, room_id: room, seq, sender_id, body, deleted: false };
        self.record(Event::Sent { room, message: message.clone(), key: key.to_owned() });
        Sending::Done(message)
    }
}

/// A message as it is pushed.
pub(super) fn pushed(kind: &str, message: &Message) -> Value {
    let mut value = serde_json::to_value(message).unwrap();
    value["type"] = kind.into();
    value
}
