//! Unread = last number - read number - deleted messages after the read number, for everyone, everywhere.

use crate::ids::{MemberId, RoomId};
use crate::oracle::Violation;
use crate::oracle::observed::{Inbox, Observed};
use crate::oracle::records::{Push, ReadTo, Records, Send, key_of};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(records: &Records, observed: &Observed, out: &mut BTreeSet<Violation>) {
    let expected: BTreeSet<(MemberId, RoomId)> = observed.members.iter().copied().collect();
    let listed: BTreeSet<(MemberId, RoomId)> = observed.inboxes.keys().copied().collect();
    for (member, room) in expected.symmetric_difference(&listed).copied() {
        out.insert(Violation::Membership { member, room, listed: listed.contains(&(member, room)) });
    }
    for ((member, room), inbox) in &observed.inboxes {
        row(*member, *room, *inbox, records, observed, out);
    }
    for (member, room) in &observed.watched {
        let last = records.pushes.get(&(*member, *room)).copied();
        if observed.inboxes.get(&(*member, *room)).is_some_and(|inbox| last != Some(pushed(*inbox))) {
            let last = last.map(|push| (push.unread, push.last_seq, push.read_seq));
            out.insert(Violation::PushedWrong { member: *member, room: *room, last });
        }
    }
}

/// The push that tells a member what this row says.
pub(crate) fn pushed(inbox: Inbox) -> Push {
    Push { unread: inbox.unread, last_seq: inbox.last_seq, read_seq: inbox.read_seq }
}

fn row(
    member: MemberId,
    room: RoomId,
    inbox: Inbox,
    records: &Records,
    observed: &Observed,
    out: &mut BTreeSet<Violation>,
) {
    let stored = observed.room(room);
    let last_seq = stored.last().map_or(0, |message| message.seq);
    let Inbox { unread, read_seq, .. } = inbox;
    if inbox.last_seq != last_seq {
        out.insert(Violation::StaleRow { member, room, found: inbox.last_seq, expected: last_seq });
    }
    let deleted = stored.iter().filter(|message| message.seq > read_seq && message.deleted).count() as u64;
    let expected = last_seq.saturating_sub(read_seq).saturating_sub(deleted);
    if unread != expected {
        out.insert(Violation::Miscounted { member, room, found: unread, expected, read_seq, last_seq });
    }
    let spans = spans(member, room, records, observed);
    let lowest = spans.iter().filter(|span| span.certain).map(|span| span.low).max().unwrap_or(0);
    let possible = |span: &Span| span.low <= read_seq && read_seq <= span.high;
    if read_seq < lowest || !(read_seq == 0 || spans.iter().any(possible)) {
        let reachable =
            spans.iter().filter(|span| span.high >= lowest).map(|span| (span.low.max(lowest), span.high));
        let reachable: BTreeSet<(u64, u64)> = reachable.collect();
        let possible =
            reachable.iter().map(|(low, high)| format!("{low}..={high}")).collect::<Vec<_>>().join(" ");
        out.insert(Violation::Cursor { member, room, found: read_seq, possible });
    }
}

/// One thing that moved the cursor to somewhere from `low` to `high`.
struct Span {
    low: u64,
    high: u64,
    certain: bool,
}

fn spans(member: MemberId, room: RoomId, records: &Records, observed: &Observed) -> Vec<Span> {
    let at = |seq, certain| Span { low: seq, high: seq, certain };
    let stored = observed.room(room);
    // By author as history has it: also a send that was never acknowledged reads up to itself once it is stored.
    let mut spans: Vec<Span> = stored
        .iter()
        .filter(|message| message.sender_id == member)
        .map(|message| at(message.seq, true))
        .collect();
    let sends: Vec<&Send> = records.sends.iter().filter(|send| send.room == room).collect();
    let by_key: BTreeMap<&str, u64> =
        stored.iter().filter_map(|message| Some((key_of(message.body.as_deref()?), message.seq))).collect();
    for read in records.reads.iter().filter(|read| read.member == member && read.room == room) {
        spans.push(match read.to {
            ReadTo::Seq(seq) => at(seq, read.certain),
            ReadTo::End { started, finished } => {
                let acks = sends.iter().filter_map(|send| send.acks.first());
                let low = acks.filter(|ack| ack.at < started).map(|ack| ack.seq).max().unwrap_or(0);
                let begun = sends.iter().filter(|send| send.started < finished);
                let seq_of = |send: &&Send| -> Option<u64> {
                    send.acks.first().map(|ack| ack.seq).or_else(|| by_key.get(send.key.as_str()).copied())
                };
                let high = begun.filter_map(seq_of).max().unwrap_or(0);
                Span { low, high: high.max(low), certain: read.certain }
            }
        });
    }
    spans
}
