//! Every acknowledged message exactly once, under its number, as it was written; numbers 1, 2, 3 ...; nothing else.

use super::versions;
use crate::http::Message;
use crate::ids::RoomId;
use crate::oracle::records::{Records, Send, key_of};
use crate::oracle::{Violation, observed::Observed};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(room: RoomId, records: &Records, observed: &Observed, out: &mut BTreeSet<Violation>) {
    let stored = observed.room(room);
    gapless(room, stored, out);
    let by_seq: BTreeMap<u64, &Message> = stored.iter().map(|message| (message.seq, message)).collect();
    let sends: Vec<&Send> = records.sends.iter().filter(|send| send.room == room).collect();
    for send in &sends {
        acknowledged(send, &by_seq, out);
    }
    explained(room, stored, &sends, out);
    in_real_time_order(room, stored, &sends, out);
    unaltered(room, records, &by_seq, out);
}

fn gapless(room: RoomId, stored: &[Message], out: &mut BTreeSet<Violation>) {
    let mut expected = 1;
    for message in stored {
        if message.seq != expected {
            out.insert(Violation::Gap { room, expected, found: message.seq });
        }
        expected = message.seq + 1;
    }
}

fn acknowledged(send: &Send, by_seq: &BTreeMap<u64, &Message>, out: &mut BTreeSet<Violation>) {
    let (room, key) = (send.room, send.key.clone());
    let Some(first) = send.acks.first() else { return };
    for ack in &send.acks {
        if (ack.seq, ack.message_id) != (first.seq, first.message_id) {
            out.insert(Violation::AcksDiffer { room, key: key.clone(), first: first.seq, second: ack.seq });
        }
    }
    let Some(message) = by_seq.get(&first.seq) else {
        out.insert(Violation::Lost { room, seq: first.seq, key });
        return;
    };
    if message.message_id != first.message_id {
        let (promised, found) = (first.message_id, message.message_id);
        out.insert(Violation::Replaced { room, seq: first.seq, key, promised, found });
    } else if message.sender_id != send.sender {
        let (sender, found) = (send.sender, message.sender_id);
        out.insert(Violation::Misattributed { room, seq: first.seq, sender, found });
    }
}

/// Each stored message belongs to one send, and each send has at most one. A deleted message has no text to go by, but
/// only acknowledged messages are ever deleted, and those are known by number.
fn explained(room: RoomId, stored: &[Message], sends: &[&Send], out: &mut BTreeSet<Violation>) {
    let by_key: BTreeMap<&str, &Send> = sends.iter().map(|send| (send.key.as_str(), *send)).collect();
    let promised: BTreeSet<u64> = sends.iter().filter_map(|send| Some(send.acks.first()?.seq)).collect();
    let mut places: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for message in stored {
        let seq = message.seq;
        let body = message.body.as_deref().unwrap_or_default();
        match by_key.get(key_of(body)) {
            Some(send) => {
                places.entry(send.key.as_str()).or_default().push(seq);
                if send.refused && send.acks.is_empty() {
                    out.insert(Violation::RefusedButStored { room, seq, key: send.key.clone() });
                }
            }
            None if message.deleted && promised.contains(&seq) => {}
            None => {
                out.insert(Violation::Unexplained { room, seq, body: body.to_owned() });
            }
        }
    }
    for (key, mut seqs) in places {
        // An acknowledged message may be deleted, and a second copy of it not: its promised number counts too.
        let promise = by_key.get(key).and_then(|send| Some(send.acks.first()?.seq));
        seqs.extend(promise.filter(|seq| stored.iter().any(|message| message.seq == *seq)));
        seqs.sort_unstable();
        seqs.dedup();
        if seqs.len() > 1 {
            out.insert(Violation::Doubled { room, key: key.to_owned(), seqs });
        }
    }
}

/// A send that began after another was acknowledged gets the higher number (the room's order is linearizable).
fn in_real_time_order(room: RoomId, stored: &[Message], sends: &[&Send], out: &mut BTreeSet<Violation>) {
    let by_key: BTreeMap<&str, u64> =
        stored.iter().filter_map(|message| Some((key_of(message.body.as_deref()?), message.seq))).collect();
    let seq_of =
        |send: &Send| send.acks.first().map(|ack| ack.seq).or_else(|| by_key.get(send.key.as_str()).copied());
    let mut starts: Vec<(u64, u64)> =
        sends.iter().filter_map(|send| Some((send.started, seq_of(send)?))).collect();
    let mut ends: Vec<(u64, u64)> =
        sends.iter().filter_map(|send| send.acks.first()).map(|ack| (ack.at, ack.seq)).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let mut ended = ends.into_iter().peekable();
    let mut highest = 0;
    for (started, seq) in starts {
        while let Some((_, earlier)) = ended.next_if(|(at, _)| *at < started) {
            highest = highest.max(earlier);
        }
        if seq < highest {
            out.insert(Violation::Reordered { room, earlier: highest, later: seq });
        }
    }
}

fn unaltered(
    room: RoomId,
    records: &Records,
    by_seq: &BTreeMap<u64, &Message>,
    out: &mut BTreeSet<Violation>,
) {
    for (seq, versions) in versions::of_room(room, records) {
        let Some(message) = by_seq.get(&seq) else { continue };
        let found = if message.deleted { None } else { message.body.clone() };
        if !versions.now.contains(&found) {
            out.insert(Violation::Altered { room, seq, found, possible: versions.now });
        }
    }
}
