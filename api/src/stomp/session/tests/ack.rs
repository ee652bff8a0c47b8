use super::*;
use crate::stomp::session::subscriptions::{MAX_UNACKED_PER_SESSION, MAX_UNACKED_PER_SUBSCRIPTION};

/// A session with one subscription `0` in this ack mode, and `count` messages `m0`, `m1`, … delivered to it.
fn delivered(version: Version, mode: &str, count: usize) -> (Session, SubscriptionKey, Vec<Option<AckId>>) {
    let mut session = connected(version);
    let key = subscribe(&mut session, &format!("id:0\ndestination:/a\nack:{mode}"));
    let acks = (0..count).map(|n| session.register_delivery(&key, &format!("m{n}")).unwrap()).collect();
    (session, key, acks)
}

fn ack(ack: Option<AckId>) -> Frame {
    frame(Command::Ack, &format!("id:{}", ack.unwrap()))
}

fn settled(action: Action) -> (bool, usize) {
    match action {
        Action::Settled(settled) => (settled.settlement.acknowledged, settled.settlement.messages),
        other => panic!("expected a settlement, got {other:?}"),
    }
}

fn unacked(session: &Session, key: &SubscriptionKey) -> usize {
    session.subscription(key).unwrap().unacked()
}

/// 1.2, SUBSCRIBE ack Header: "cumulative … all messages sent to the subscription before the ACK'ed message".
#[test]
fn client_mode_is_cumulative() {
    let (mut session, key, acks) = delivered(Version::V1_2, "client", 5);
    assert_eq!(settled(session.handle(ack(acks[2]))), (true, 3));
    assert_eq!(unacked(&session, &key), 2);
    let covered = violation(&mut session, ack(acks[1]));
    assert_eq!(covered, Violation::UnknownAck { command: Command::Ack });
}

/// 1.2, SUBSCRIBE ack Header: "MUST NOT cause a previous message to get acknowledged".
#[test]
fn client_individual_mode_is_not_cumulative() {
    let (mut session, key, acks) = delivered(Version::V1_2, "client-individual", 5);
    assert_eq!(settled(session.handle(ack(acks[2]))), (true, 1));
    assert_eq!(settled(session.handle(ack(acks[1]))), (true, 1));
    assert_eq!(unacked(&session, &key), 3);
}

/// 1.2, NACK: one message, or in mode client all before it.
#[test]
fn nack_settles_like_ack() {
    for (mode, count) in [("client", 3), ("client-individual", 1)] {
        let (mut session, _, acks) = delivered(Version::V1_2, mode, 5);
        let nack = frame(Command::Nack, &format!("id:{}\nreceipt:r", acks[2].unwrap()));
        let Action::Settled(action) = session.handle(nack) else { panic!("no settlement") };
        assert_eq!(action.receipt.as_deref(), Some("r"));
        assert_eq!((action.settlement.acknowledged, action.settlement.messages), (false, count));
    }
}

/// 1.2, ACK: "an id header matching the ack header of the MESSAGE".
#[test]
fn v1_2_acknowledges_by_id() {
    let (mut session, key, acks) = delivered(Version::V1_2, "client", 1);
    let mut wire = Vec::new();
    acks[0].unwrap().append_to(&mut wire);
    assert_eq!(String::from_utf8(wire).unwrap(), acks[0].unwrap().to_string());
    assert_eq!(settled(session.handle(ack(acks[0]))), (true, 1));
    assert_eq!(session.can_deliver(&key), Delivery::Ready);
    let missing = violation(&mut session, frame(Command::Ack, "message-id:m0\nsubscription:0"));
    assert_eq!(missing, Violation::MissingHeader { command: Command::Ack, header: "id" });
}

/// 1.1, ACK: "message-id … and subscription", both required.
#[test]
fn v1_1_acknowledges_by_message_id_and_subscription() {
    let (mut session, _, acks) = delivered(Version::V1_1, "client", 3);
    assert_eq!(acks, [None; 3], "1.1 has no ack header");
    assert_eq!(settled(session.handle(frame(Command::Ack, "message-id:m1\nsubscription:0"))), (true, 2));
    assert_eq!(settled(session.handle(frame(Command::Nack, "message-id:m2\nsubscription:0"))), (false, 1));
    let missing = violation(&mut session, frame(Command::Ack, "message-id:m2"));
    assert_eq!(missing, Violation::MissingHeader { command: Command::Ack, header: "subscription" });
    let (mut session, _, _) = delivered(Version::V1_1, "client", 1);
    let missing = violation(&mut session, frame(Command::Ack, "subscription:0"));
    assert_eq!(missing, Violation::MissingHeader { command: Command::Ack, header: "message-id" });
}

/// 1.0, ACK: "one required header, message-id"; there is no NACK.
#[test]
fn v1_0_acknowledges_by_message_id() {
    let mut session = connected(Version::V1_0);
    let first = subscribe(&mut session, "destination:/a\nack:client");
    let second = subscribe(&mut session, "destination:/b\nid:7\nack:client");
    for (key, message) in [(&first, "m0"), (&second, "m0"), (&second, "m1")] {
        assert_eq!(session.register_delivery(key, message), Ok(None));
    }
    assert_eq!(settled(session.handle(frame(Command::Ack, "message-id:m0\nsubscription:7"))), (true, 1));
    assert_eq!(settled(session.handle(frame(Command::Ack, "message-id:m0"))), (true, 1));
    assert_eq!((unacked(&session, &first), unacked(&session, &second)), (0, 1));
    let nack = violation(&mut session, frame(Command::Nack, "message-id:m1"));
    assert_eq!(nack, Violation::NotInVersion { command: Command::Nack, version: Version::V1_0 });
}

#[test]
fn acknowledging_what_does_not_wait_is_an_error() {
    for id in ["0-9", "9-0", "0-00", "+0-0", "0", "-", "0-0-0", "x"] {
        let (mut session, _, _) = delivered(Version::V1_2, "client", 1);
        let unknown = violation(&mut session, frame(Command::Ack, &format!("id:{id}\nreceipt:1")));
        assert_eq!(unknown, Violation::UnknownAck { command: Command::Ack }, "{id}");
    }
    let (mut session, _, acks) = delivered(Version::V1_2, "client-individual", 1);
    session.handle(ack(acks[0]));
    assert_eq!(
        violation(&mut session, ack(acks[0])),
        Violation::UnknownAck { command: Command::Ack },
        "twice"
    );
    let (mut session, _, acks) = delivered(Version::V1_2, "auto", 1);
    assert_eq!(acks, [None]);
    violation(&mut session, frame(Command::Ack, "id:0-0"));
}

#[test]
fn a_full_window_pauses_delivery_until_an_ack() {
    let (mut session, key, acks) = delivered(Version::V1_2, "client", MAX_UNACKED_PER_SUBSCRIPTION);
    assert_eq!(session.can_deliver(&key), Delivery::Paused);
    assert_eq!(session.register_delivery(&key, "more"), Err(Delivery::Paused));
    assert_eq!(settled(session.handle(ack(acks[0]))), (true, 1));
    assert_eq!(session.can_deliver(&key), Delivery::Ready);
}

#[test]
fn the_window_of_a_session_is_limited_and_spares_auto_subscriptions() {
    let mut session = connected(Version::V1_2);
    let auto = subscribe(&mut session, "id:auto\ndestination:/a");
    let mut keys = Vec::new();
    for n in 0..MAX_UNACKED_PER_SESSION / MAX_UNACKED_PER_SUBSCRIPTION {
        let key = subscribe(&mut session, &format!("id:{n}\ndestination:/a\nack:client"));
        for message in 0..MAX_UNACKED_PER_SUBSCRIPTION {
            assert!(session.register_delivery(&key, &message.to_string()).is_ok());
        }
        keys.push(key);
    }
    let fresh = subscribe(&mut session, "id:fresh\ndestination:/a\nack:client");
    assert_eq!(session.can_deliver(&fresh), Delivery::Paused);
    assert_eq!(session.can_deliver(&auto), Delivery::Ready);
    session.handle(frame(Command::Unsubscribe, "id:0"));
    assert_eq!(session.can_deliver(&fresh), Delivery::Ready, "what an ended subscription held is free");
}

/// An `ACK` under way while the server ends the subscription is no violation.
#[test]
fn a_late_ack_after_the_server_ended_the_subscription_is_taken() {
    let (mut session, key, acks) = delivered(Version::V1_2, "client", 2);
    session.end_subscription(&key);
    assert_eq!(settled(session.handle(ack(acks[1]))), (true, 2));
}
