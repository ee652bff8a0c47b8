use super::*;
use crate::stomp::session::transactions::{MAX_BUFFERED_FRAMES, MAX_BUFFERED_OCTETS, MAX_TRANSACTIONS};

fn begin(id: &str) -> Frame {
    frame(Command::Begin, &format!("transaction:{id}"))
}

fn send(id: &str, body: &str) -> Frame {
    frame(Command::Send, &format!("destination:/a\ntransaction:{id}")).with_body(body.to_owned())
}

fn commit(session: &mut Session, id: &str) -> Commit {
    match session.handle(frame(Command::Commit, &format!("transaction:{id}\nreceipt:c"))) {
        Action::Commit(commit) => commit,
        other => panic!("expected a commit, got {other:?}"),
    }
}

fn bodies(commit: &Commit) -> Vec<&[u8]> {
    commit.sends.iter().map(|send| &send.body[..]).collect()
}

/// 1.2, BEGIN and COMMIT: what is sent in a transaction happens at COMMIT, in order.
#[test]
fn commit_releases_the_sends_in_order() {
    let mut session = connected(Version::V1_2);
    done(&mut session, begin("t"));
    done(&mut session, begin("u"));
    for (id, body) in [("t", "1"), ("u", "x"), ("t", "2")] {
        done(&mut session, send(id, body));
    }
    assert!(matches!(session.handle(frame(Command::Send, "destination:/b")), Action::Send(_)), "outside");
    let committed = commit(&mut session, "t");
    assert_eq!(bodies(&committed), [b"1", b"2"]);
    assert_eq!(committed.receipt.as_deref(), Some("c"));
    assert_eq!(bodies(&commit(&mut session, "u")), [b"x"]);
    assert_eq!(session.buffered_octets(), 0);
}

/// INTERFACE.md: "RECEIPT to a SEND means: durable in the log", which a buffered one is not.
#[test]
fn a_send_in_a_transaction_gets_its_receipt_after_the_commit() {
    let mut session = connected(Version::V1_2);
    done(&mut session, begin("t"));
    done(&mut session, frame(Command::Send, "destination:/a\ntransaction:t\nreceipt:s1"));
    assert_eq!(commit(&mut session, "t").sends[0].receipt.as_deref(), Some("s1"));
}

/// 1.2, ABORT.
#[test]
fn abort_drops_the_sends() {
    let mut session = connected(Version::V1_2);
    done(&mut session, begin("t"));
    done(&mut session, send("t", "1"));
    done(&mut session, frame(Command::Abort, "transaction:t"));
    assert_eq!(session.buffered_octets(), 0);
    let ended = violation(&mut session, frame(Command::Commit, "transaction:t"));
    assert_eq!(ended, Violation::UnknownTransaction { id: "t".to_owned() });
}

/// 1.2, BEGIN: "different transactions MUST use different transaction identifiers"; an ended one frees its own.
#[test]
fn transaction_ids_are_unique_while_open() {
    let mut session = connected(Version::V1_2);
    done(&mut session, begin("t"));
    commit(&mut session, "t");
    done(&mut session, begin("t"));
    assert_eq!(violation(&mut session, begin("t")), Violation::DuplicateTransaction { id: "t".to_owned() });
}

/// 1.2: "The transaction header is REQUIRED" on BEGIN, COMMIT and ABORT, and names an open transaction.
#[test]
fn transactions_are_named_and_begun() {
    for command in [Command::Begin, Command::Commit, Command::Abort] {
        let missing = violation(&mut connected(Version::V1_1), Frame::new(command));
        assert_eq!(missing, Violation::MissingHeader { command, header: "transaction" });
    }
    let unknown = Violation::UnknownTransaction { id: "t".to_owned() };
    assert_eq!(violation(&mut connected(Version::V1_2), frame(Command::Abort, "transaction:t")), unknown);
    assert_eq!(violation(&mut connected(Version::V1_2), send("t", "1")), unknown);
}

/// 1.2, ACK: "the message acknowledgment SHOULD be part of the named transaction".
#[test]
fn acks_in_a_transaction_count_at_commit() {
    let mut session = connected(Version::V1_2);
    let key = subscribe(&mut session, "id:0\ndestination:/a\nack:client-individual");
    let mut deliver = |id: &str| session.register_delivery(&key, id).unwrap().unwrap();
    let (first, second, third) = (deliver("m0"), deliver("m1"), deliver("m2"));
    done(&mut session, begin("t"));
    done(&mut session, frame(Command::Ack, &format!("id:{first}\ntransaction:t")));
    done(&mut session, frame(Command::Nack, &format!("id:{second}\ntransaction:t")));
    done(&mut session, frame(Command::Ack, &format!("id:{third}\ntransaction:t")));
    assert_eq!(session.subscription(&key).map(Subscription::unacked), Some(3));
    // Settled outside in the meantime: the transaction has nothing left to do for it.
    assert!(matches!(session.handle(frame(Command::Ack, &format!("id:{third}"))), Action::Settled(_)));
    let settled: Vec<_> = commit(&mut session, "t").settled.iter().map(|s| s.acknowledged).collect();
    assert_eq!(settled, [true, false]);
    assert_eq!(session.subscription(&key).map(Subscription::unacked), Some(0));
}

#[test]
fn an_aborted_ack_leaves_the_message_waiting() {
    let mut session = connected(Version::V1_2);
    let key = subscribe(&mut session, "id:0\ndestination:/a\nack:client");
    let ack = session.register_delivery(&key, "m0").unwrap().unwrap();
    done(&mut session, begin("t"));
    done(&mut session, frame(Command::Ack, &format!("id:{ack}\ntransaction:t")));
    done(&mut session, frame(Command::Abort, "transaction:t"));
    assert!(matches!(session.handle(frame(Command::Ack, &format!("id:{ack}"))), Action::Settled(_)));
}

#[test]
fn transactions_are_limited() {
    let mut session = connected(Version::V1_2);
    for n in 0..MAX_TRANSACTIONS {
        done(&mut session, begin(&n.to_string()));
    }
    assert_eq!(violation(&mut session, begin("x")), Violation::TooManyTransactions { max: MAX_TRANSACTIONS });
}

#[test]
fn buffered_frames_are_limited_over_all_transactions() {
    let mut session = connected(Version::V1_2);
    done(&mut session, begin("t"));
    done(&mut session, begin("u"));
    for n in 0..MAX_BUFFERED_FRAMES {
        done(&mut session, send(if n % 2 == 0 { "t" } else { "u" }, ""));
    }
    let full = Violation::TooManyBufferedFrames { max: MAX_BUFFERED_FRAMES };
    assert_eq!(violation(&mut session, send("t", "")), full);
}

#[test]
fn buffered_octets_are_limited() {
    let mut session = connected(Version::V1_2);
    done(&mut session, begin("t"));
    let body = "x".repeat(60_000);
    while session.buffered_octets() + body.len() + 1_000 < MAX_BUFFERED_OCTETS {
        done(&mut session, send("t", &body));
    }
    let full = Violation::TooManyBufferedOctets { max: MAX_BUFFERED_OCTETS };
    assert_eq!(violation(&mut session, send("t", &body)), full);
    assert_eq!(session.buffered_octets(), 0, "a closed session holds nothing");
}
