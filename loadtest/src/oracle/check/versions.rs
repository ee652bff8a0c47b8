//! Which texts a message can have had, and can have now.

use crate::ids::RoomId;
use crate::oracle::records::Records;
use std::collections::BTreeMap;

/// Versions of one message; `None` stands for deleted.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// What it may say now.
    pub(super) now: Vec<Option<String>>,
    /// What it may have said at any time.
    pub(super) ever: Vec<Option<String>>,
}

impl Versions {
    fn add(&mut self, body: Option<String>, certain: bool) {
        // Nothing follows a deletion: an edit that was acknowledged after an uncertain one shows it did not happen.
        if certain {
            self.now.clear();
        }
        self.now.push(body.clone());
        self.ever.push(body);
    }
}

/// Versions of the acknowledged messages of a room, by number, from what was sent and changed.
pub(super) fn of_room(room: RoomId, records: &Records) -> BTreeMap<u64, Versions> {
    let mut all: BTreeMap<u64, Versions> = BTreeMap::new();
    for send in records.sends.iter().filter(|send| send.room == room) {
        for ack in send.acks.iter().take(1) {
            all.entry(ack.seq).or_default().add(Some(send.body.clone()), true);
        }
    }
    for change in records.changes.iter().filter(|change| change.room == room) {
        all.entry(change.seq).or_default().add(change.body.clone(), change.certain);
    }
    all
}
