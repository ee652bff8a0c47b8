//! The model must find nothing in a correct history and each kind of damage in a damaged one.

use super::check;
use crate::http::Message;
use crate::ids::{MemberId, MessageId, RoomId};
use crate::oracle::Violation;
use crate::oracle::observed::{Inbox, Observed};
use crate::oracle::records::{Ack, Change, Delivery, Push, Read, ReadTo, Records, Send, Subscriber};
use proptest::prelude::*;
use uuid::Uuid;

const ROOM: RoomId = RoomId(Uuid::from_u128(7));

fn member(number: u64) -> MemberId {
    MemberId(Uuid::from_u128(100 + u128::from(number)))
}

fn id(seq: u64) -> MessageId {
    MessageId(Uuid::from_u128(10_000 + u128::from(seq)))
}

fn body(seq: u64) -> String {
    format!("k{seq} hello")
}

/// Messages 1..=`count` by members 0 and 1 in turn, one after the other; both and member 2 watch, 2 has read up to 2.
fn world(count: u64) -> (Records, Observed) {
    let (mut records, mut observed) = (Records::default(), Observed::default());
    let mut stored = Vec::new();
    for seq in 1..=count {
        let (sender, message_id) = (member(seq % 2), id(seq));
        let acks = vec![Ack { seq, message_id, at: 10 * seq + 5 }];
        let key = format!("k{seq}");
        records.sends.push(Send {
            room: ROOM,
            sender,
            key,
            body: body(seq),
            started: 10 * seq,
            acks,
            refused: false,
        });
        stored.push(Message { message_id, seq, sender_id: sender, body: Some(body(seq)), deleted: false });
    }
    let deliveries = |from: u64| {
        (from..=count).map(|seq| Delivery { seq, message_id: id(seq), body: Some(body(seq)) }).collect()
    };
    records.subscribers.push(Subscriber {
        name: "all".into(),
        room: ROOM,
        after: 0,
        deliveries: deliveries(1),
    });
    records.subscribers.push(Subscriber {
        name: "late".into(),
        room: ROOM,
        after: 2,
        deliveries: deliveries(3),
    });
    records.reads.push(Read { member: member(2), room: ROOM, to: ReadTo::Seq(2), certain: true });
    observed.history.insert(ROOM, stored);
    for number in 0..3 {
        let read_seq = if number == 2 { 2 } else { count - u64::from(count % 2 != number) };
        let inbox = Inbox { unread: count - read_seq, read_seq, last_seq: count };
        observed.inboxes.insert((member(number), ROOM), inbox);
        observed.members.push((member(number), ROOM));
        observed.watched.push((member(number), ROOM));
        records.pushes.insert((member(number), ROOM), super::pushed(inbox));
    }
    (records, observed)
}

fn history(observed: &mut Observed) -> &mut Vec<Message> {
    observed.history.get_mut(&ROOM).unwrap()
}

fn inbox(observed: &mut Observed, number: u64) -> &mut Inbox {
    observed.inboxes.get_mut(&(member(number), ROOM)).unwrap()
}

/// Asserts that damage is reported, and as what it is.
fn finds(what: &str, damage: impl FnOnce(&mut Records, &mut Observed), is: impl Fn(&Violation) -> bool) {
    let (mut records, mut observed) = world(6);
    damage(&mut records, &mut observed);
    let found = check(&records, &observed);
    assert!(found.iter().any(is), "{what}: {found:?}");
}

#[test]
fn a_correct_history_passes() {
    for count in 3..9 {
        let (records, observed) = world(count);
        assert_eq!(check(&records, &observed), [].into(), "{count} messages");
    }
}

#[test]
fn notices_what_is_lost() {
    finds("last message", |_, o| drop(history(o).pop()), |v| matches!(v, Violation::Lost { seq: 6, .. }));
    finds("middle", |_, o| drop(history(o).remove(2)), |v| matches!(v, Violation::Lost { seq: 3, .. }));
    finds("middle", |_, o| drop(history(o).remove(2)), |v| matches!(v, Violation::Gap { expected: 3, .. }));
    finds("all", |_, o| history(o).clear(), |v| matches!(v, Violation::Lost { seq: 1, .. }));
}

#[test]
fn notices_what_is_doubled() {
    finds(
        "stored again at the end",
        |_, o| {
            let copy = Message { seq: 7, message_id: id(7), ..history(o)[1].clone() };
            history(o).push(copy);
        },
        |v| matches!(v, Violation::Doubled { seqs, .. } if *seqs == [2, 7]),
    );
    finds(
        "first copy deleted",
        |r, o| {
            let copy = Message { seq: 7, message_id: id(7), ..history(o)[1].clone() };
            history(o).push(copy);
            history(o)[1] = Message { body: None, deleted: true, ..history(o)[1].clone() };
            r.changes.push(Change { room: ROOM, seq: 2, body: None, certain: true });
        },
        |v| matches!(v, Violation::Doubled { seqs, .. } if *seqs == [2, 7]),
    );
    finds(
        "row listed twice",
        |_, o| {
            let copy = history(o)[1].clone();
            history(o).insert(1, copy);
        },
        |v| matches!(v, Violation::Gap { expected: 3, found: 2, .. }),
    );
    finds(
        "retry answered with a new message",
        |r, _| r.sends[0].acks.push(Ack { seq: 5, message_id: id(5), at: 99 }),
        |v| matches!(v, Violation::AcksDiffer { first: 1, second: 5, .. }),
    );
}

#[test]
fn notices_what_is_reordered() {
    finds(
        "numbers against real time",
        |r, o| {
            let (a, b) = (r.sends[1].acks[0].seq, r.sends[2].acks[0].seq);
            (r.sends[1].acks[0].seq, r.sends[2].acks[0].seq) = (b, a);
            history(o).swap(1, 2);
            (history(o)[1].seq, history(o)[2].seq) = (2, 3);
        },
        |v| matches!(v, Violation::Reordered { earlier: 3, later: 2, .. }),
    );
    finds("page out of order", |_, o| history(o).swap(3, 4), |v| matches!(v, Violation::Gap { .. }));
    finds(
        "delivered out of order",
        |r, _| r.subscribers[0].deliveries.swap(3, 4),
        |v| matches!(v, Violation::DeliveredAgain { seq: 4, after: 5, .. }),
    );
}

#[test]
fn notices_wrong_numbers_texts_and_authors() {
    let promised = |r: &mut Records, _: &mut Observed| r.sends[1].acks[0].message_id = id(99);
    finds("another message under the number", promised, |v| matches!(v, Violation::Replaced { seq: 2, .. }));
    finds(
        "text",
        |_, o| history(o)[3].body = Some("k4 hellO".into()),
        |v| matches!(v, Violation::Altered { seq: 4, .. }),
    );
    finds(
        "author",
        |_, o| history(o)[3].sender_id = member(2),
        |v| matches!(v, Violation::Misattributed { seq: 4, .. }),
    );
    finds(
        "a message nobody sent",
        |_, o| history(o)[3].body = Some("who".into()),
        |v| matches!(v, Violation::Unexplained { seq: 4, .. }),
    );
    finds(
        "a refused send",
        |r, _| {
            r.sends[5].refused = true;
            r.sends[5].acks.clear();
        },
        |v| matches!(v, Violation::RefusedButStored { seq: 6, .. }),
    );
}

#[test]
fn follows_edits_and_deletions() {
    let edit =
        |body: Option<&str>, certain| Change { room: ROOM, seq: 4, body: body.map(str::to_owned), certain };
    let now = |changes: Vec<Change>, text: Option<&str>, count: bool| {
        let (mut records, mut observed) = world(6);
        records.changes = changes;
        let message = &mut history(&mut observed)[3];
        (message.body, message.deleted) = (text.map(str::to_owned), text.is_none());
        if count && text.is_none() {
            inbox(&mut observed, 2).unread -= 1;
            records.pushes.get_mut(&(member(2), ROOM)).unwrap().unread -= 1;
        }
        check(&records, &observed)
    };
    let (one, two) = (edit(Some("k4 one"), true), edit(Some("k4 two"), false));
    assert_eq!(now(vec![one.clone()], Some("k4 one"), true), [].into());
    assert_eq!(now(vec![one.clone(), two.clone()], Some("k4 one"), true), [].into());
    assert_eq!(now(vec![one.clone(), two.clone()], Some("k4 two"), true), [].into());
    assert_eq!(now(vec![one.clone(), edit(None, true)], None, true), [].into());
    assert_eq!(now(vec![edit(None, false)], None, true), [].into());
    let altered = |found: std::collections::BTreeSet<Violation>| {
        found.iter().any(|violation| matches!(violation, Violation::Altered { seq: 4, .. }))
    };
    assert!(altered(now(vec![one.clone()], Some(&body(4)), true)), "edit lost");
    assert!(altered(now(vec![two, one], Some("k4 two"), true)), "older edit came back");
    assert!(altered(now(vec![edit(None, true)], Some(&body(4)), true)), "deletion lost");
    assert!(altered(now(vec![], None, true)), "deletion made up");
    let uncounted = now(vec![edit(None, true)], None, false);
    assert!(uncounted.iter().any(|v| matches!(v, Violation::Miscounted { expected: 3, found: 4, .. })));
}

#[test]
fn notices_what_subscribers_miss_or_get_twice() {
    let missing = |v: &Violation| matches!(v, Violation::NotDelivered { seq: 4, .. });
    finds("a hole", |r, _| drop(r.subscribers[1].deliveries.remove(1)), missing);
    finds("the end", |r, _| r.subscribers[1].deliveries.truncate(1), missing);
    finds("everything", |r, _| r.subscribers[1].deliveries.clear(), missing);
    finds(
        "a repetition after resuming",
        |r, _| {
            let again = r.subscribers[0].deliveries[2].clone();
            r.subscribers[0].deliveries.insert(3, again);
        },
        |v| matches!(v, Violation::DeliveredAgain { seq: 3, after: 3, .. }),
    );
    finds(
        "another text",
        |r, _| r.subscribers[0].deliveries[2].body = Some("k3 no".into()),
        |v| matches!(v, Violation::DeliveredWrong { seq: 3, .. }),
    );
    finds(
        "pushed, but not kept",
        |r, _| r.subscribers[0].deliveries.push(Delivery { seq: 7, message_id: id(7), body: None }),
        |v| matches!(v, Violation::DeliveredWrong { seq: 7, .. }),
    );
    // Deleted before the subscriber came back: its place may stay empty.
    let (mut records, observed) = world(6);
    records.changes.push(Change { room: ROOM, seq: 4, body: None, certain: false });
    records.subscribers[0].deliveries.remove(3);
    assert_eq!(check(&records, &observed), [].into());
}

#[test]
fn notices_what_is_miscounted() {
    finds(
        "unread",
        |_, o| inbox(o, 2).unread = 3,
        |v| matches!(v, Violation::Miscounted { expected: 4, .. }),
    );
    let moved = |to: u64| {
        move |_: &mut Records, o: &mut Observed| {
            *inbox(o, 2) = Inbox { unread: 6 - to, read_seq: to, last_seq: 6 }
        }
    };
    finds("cursor went back", moved(1), |v| matches!(v, Violation::Cursor { found: 1, .. }));
    finds("cursor jumped", moved(5), |v| matches!(v, Violation::Cursor { found: 5, .. }));
    finds(
        "row behind",
        |_, o| inbox(o, 2).last_seq = 5,
        |v| matches!(v, Violation::StaleRow { found: 5, .. }),
    );
    finds(
        "room gone from the list",
        |_, o| assert!(o.inboxes.remove(&(member(2), ROOM)).is_some()),
        |v| matches!(v, Violation::Membership { listed: false, .. }),
    );
    finds(
        "left, but listed",
        |_, o| assert!(o.members.pop().is_some()),
        |v| matches!(v, Violation::Membership { .. }),
    );
    finds("no push", |r, _| r.pushes.clear(), |v| matches!(v, Violation::PushedWrong { last: None, .. }));
    let stale = Push { unread: 3, last_seq: 5, read_seq: 2 };
    let damage =
        |r: &mut Records, _: &mut Observed| assert!(r.pushes.insert((member(2), ROOM), stale).is_some());
    finds("old push", damage, |v| matches!(v, Violation::PushedWrong { last: Some((3, 5, 2)), .. }));
}

#[test]
fn a_join_starts_at_the_end_as_it_was_then() {
    let outcome = |read_seq: u64, certain: bool| {
        let (mut records, mut observed) = world(6);
        // Began after #3 was acknowledged (35), was answered after #5 was sent (50) and before #6 was (60).
        let to = ReadTo::End { started: 36, finished: 55 };
        records.reads = vec![Read { member: member(2), room: ROOM, to, certain }];
        *inbox(&mut observed, 2) = Inbox { unread: 6 - read_seq, read_seq, last_seq: 6 };
        observed.watched.clear();
        check(&records, &observed).len()
    };
    assert_eq!([0, 2, 3, 4, 5, 6].map(|read| outcome(read, true)), [1, 1, 0, 0, 0, 1]);
    assert_eq!(outcome(0, false), 0, "an unanswered join may not have happened");
}

proptest! {
    #[test]
    fn any_single_damage_is_noticed(count in 3u64..12, at in any::<prop::sample::Index>(), kind in 0..6) {
        let (mut records, mut observed) = world(count);
        let index = at.index(usize::try_from(count).unwrap());
        match kind {
            0 => drop(history(&mut observed).remove(index)),
            1 => history(&mut observed)[index].body = Some("else".into()),
            2 => drop(records.subscribers[0].deliveries.remove(index)),
            3 => history(&mut observed)[index].seq += 1,
            4 => records.sends[index].acks[0].seq += 1,
            _ => inbox(&mut observed, index as u64 % 3).unread += 1,
        }
        prop_assert!(!check(&records, &observed).is_empty());
    }
}
