//! Each subscriber got each message once and in order, through all its reconnections.

use super::versions;
use crate::http::Message;
use crate::ids::RoomId;
use crate::oracle::records::{Delivery, Records, Subscriber};
use crate::oracle::{Violation, observed::Observed};
use std::collections::{BTreeMap, BTreeSet};

/// Missing messages that are named for one hole; a nonsensical number would make the hole endless.
const MAX_REPORTED: usize = 100;

pub(super) fn check(room: RoomId, records: &Records, observed: &Observed, out: &mut BTreeSet<Violation>) {
    let stored: BTreeMap<u64, &Message> =
        observed.room(room).iter().map(|message| (message.seq, message)).collect();
    let versions = versions::of_room(room, records);
    // A message may be deleted before a subscriber comes back to fetch it; whether its place is then filled with a
    // tombstone is left open. Everything else must come.
    let excused: BTreeSet<u64> = records
        .changes
        .iter()
        .filter(|change| change.room == room && change.body.is_none())
        .map(|change| change.seq)
        .collect();
    let last = stored.keys().next_back().copied().unwrap_or(0);
    for subscriber in records.subscribers.iter().filter(|subscriber| subscriber.room == room) {
        once_in_order(subscriber, &excused, last, out);
        for delivery in &subscriber.deliveries {
            let may_say = versions.get(&delivery.seq).map(|versions| versions.ever.as_slice());
            if let Some(what) = wrong(delivery, stored.get(&delivery.seq).copied(), may_say) {
                let (subscriber, seq) = (subscriber.name.clone(), delivery.seq);
                out.insert(Violation::DeliveredWrong { subscriber, room, seq, what });
            }
        }
    }
}

fn once_in_order(subscriber: &Subscriber, excused: &BTreeSet<u64>, last: u64, out: &mut BTreeSet<Violation>) {
    let room = subscriber.room;
    let name = || subscriber.name.clone();
    let mut highest = subscriber.after;
    let mut miss = |after: u64, before: u64| {
        for seq in (after + 1..before).filter(|seq| !excused.contains(seq)).take(MAX_REPORTED) {
            out.insert(Violation::NotDelivered { subscriber: name(), room, seq });
        }
    };
    let mut again = Vec::new();
    for delivery in &subscriber.deliveries {
        if delivery.seq <= highest {
            again.push((delivery.seq, highest));
            continue;
        }
        miss(highest, delivery.seq);
        highest = delivery.seq;
    }
    miss(highest, last + 1);
    out.extend(again.into_iter().map(|(seq, after)| Violation::DeliveredAgain {
        subscriber: name(),
        room,
        seq,
        after,
    }));
}

fn wrong(
    delivery: &Delivery,
    stored: Option<&Message>,
    may_say: Option<&[Option<String>]>,
) -> Option<String> {
    let Some(stored) = stored else { return Some("a message that history does not have".to_owned()) };
    if stored.message_id != delivery.message_id {
        return Some(format!("id {}, history has {}", delivery.message_id, stored.message_id));
    }
    match may_say {
        Some(texts) if !texts.contains(&delivery.body) => Some(format!("{:?}", delivery.body)),
        // Never acknowledged, so never changed either.
        None if !stored.deleted && stored.body != delivery.body => Some(format!("{:?}", delivery.body)),
        _ => None,
    }
}
