use super::*;
use crate::stomp::session::subscriptions::MAX_SUBSCRIPTIONS;

fn action(version: Version, headers: &str) -> Action {
    connected(version).handle(frame(Command::Subscribe, headers))
}

fn refused(version: Version, headers: &str) -> Violation {
    violation(&mut connected(version), frame(Command::Subscribe, headers))
}

fn id(text: &str) -> SubscriptionKey {
    SubscriptionKey::Id(text.into())
}

/// 1.2, SUBSCRIBE.
#[test]
fn subscribe_says_what_the_client_wants() {
    let headers = "id:0\ndestination:/topic/r\nack:client-individual\nafter-seq:41\nreceipt:r1";
    let expected = Subscribe {
        key: id("0"),
        destination: "/topic/r".into(),
        ack: AckMode::ClientIndividual,
        after_seq: Some(41),
        receipt: Some("r1".to_owned()),
    };
    assert_eq!(action(Version::V1_2, headers), Action::Subscribe(expected));
}

/// 1.2, SUBSCRIBE ack Header: auto, client, client-individual; auto if missing. 1.0 has no client-individual.
#[test]
fn ack_modes() {
    let mode = |version, ack: &str| match action(version, &format!("id:0\ndestination:/a{ack}")) {
        Action::Subscribe(subscribe) => subscribe.ack,
        other => panic!("{other:?}"),
    };
    assert_eq!(mode(Version::V1_2, ""), AckMode::Auto);
    assert_eq!(mode(Version::V1_2, "\nack:auto"), AckMode::Auto);
    assert_eq!(mode(Version::V1_1, "\nack:client"), AckMode::Client);
    assert_eq!(mode(Version::V1_1, "\nack:client-individual"), AckMode::ClientIndividual);
    assert_eq!(refused(Version::V1_2, "id:0\ndestination:/a\nack:Auto"), Violation::BadAckMode);
    assert_eq!(refused(Version::V1_0, "id:0\ndestination:/a\nack:client-individual"), Violation::BadAckMode);
}

/// 1.1 and 1.2, SUBSCRIBE id Header: "MUST be included in the frame"; 1.0 allows to leave it out.
#[test]
fn the_id_is_required_from_1_1_on() {
    let missing = Violation::MissingHeader { command: Command::Subscribe, header: "id" };
    assert_eq!(refused(Version::V1_1, "destination:/a"), missing);
    assert_eq!(refused(Version::V1_2, "destination:/a\nreceipt:1"), missing);
    let mut session = connected(Version::V1_0);
    let key = subscribe(&mut session, "destination:/a");
    assert_eq!((key.header(), key.as_str()), (None, "/a"));
    assert_eq!(
        subscribe(&mut session, "destination:/a\nid:/a").header(),
        Some("/a"),
        "an id is not a destination"
    );
    let again = violation(&mut session, frame(Command::Subscribe, "destination:/a"));
    assert_eq!(again, Violation::DuplicateSubscription { id: "/a".to_owned() });
}

/// 1.2, SUBSCRIBE: "requires a destination header".
#[test]
fn the_destination_is_required() {
    let missing = Violation::MissingHeader { command: Command::Subscribe, header: "destination" };
    assert_eq!(refused(Version::V1_2, "id:0"), missing);
    assert_eq!(refused(Version::V1_2, "id:0\ndestination:"), missing);
}

/// 1.2, SUBSCRIBE id Header: "different subscriptions MUST use different subscription identifiers".
#[test]
fn ids_are_unique_within_a_session() {
    let mut session = connected(Version::V1_2);
    subscribe(&mut session, "id:0\ndestination:/a");
    subscribe(&mut session, "id:1\ndestination:/a");
    let again = violation(&mut session, frame(Command::Subscribe, "id:0\ndestination:/b"));
    assert_eq!(again, Violation::DuplicateSubscription { id: "0".to_owned() });
}

#[test]
fn after_seq_is_a_number() {
    for bad in ["-1", "x", "", "+1", "99999999999999999999"] {
        let headers = format!("id:0\ndestination:/a\nafter-seq:{bad}");
        assert_eq!(refused(Version::V1_2, &headers), Violation::BadAfterSeq, "{bad:?}");
    }
}

/// 1.2, UNSUBSCRIBE: the id "MUST match the subscription identifier of an existing subscription".
#[test]
fn unsubscribe_names_a_subscription() {
    let mut session = connected(Version::V1_2);
    subscribe(&mut session, "id:0\ndestination:/a");
    let gone = session.handle(frame(Command::Unsubscribe, "id:0\nreceipt:r"));
    let expected = Unsubscribe { key: id("0"), destination: "/a".into(), receipt: Some("r".to_owned()) };
    assert_eq!(gone, Action::Unsubscribe(expected));
    assert_eq!(session.can_deliver(&id("0")), Delivery::Gone);
    subscribe(&mut session, "id:0\ndestination:/b");
    let unknown = violation(&mut session, frame(Command::Unsubscribe, "id:1"));
    assert_eq!(unknown, Violation::UnknownSubscription { id: "1".to_owned() });
    let mut session = connected(Version::V1_1);
    let missing = violation(&mut session, frame(Command::Unsubscribe, "destination:/a"));
    assert_eq!(missing, Violation::MissingHeader { command: Command::Unsubscribe, header: "id" });
}

/// 1.0, UNSUBSCRIBE: "requires either a destination header or an id header".
#[test]
fn v1_0_unsubscribes_by_destination_or_id() {
    let mut session = connected(Version::V1_0);
    subscribe(&mut session, "destination:/a");
    subscribe(&mut session, "destination:/b\nid:7");
    assert!(matches!(session.handle(frame(Command::Unsubscribe, "destination:/a")), Action::Unsubscribe(_)));
    assert!(matches!(session.handle(frame(Command::Unsubscribe, "id:7")), Action::Unsubscribe(_)));
    let missing = violation(&mut session, Frame::new(Command::Unsubscribe));
    assert_eq!(missing, Violation::MissingHeader { command: Command::Unsubscribe, header: "destination" });
}

/// A member who is removed must not lose the connection for unsubscribing, or for coming back.
#[test]
fn a_subscription_ended_by_the_server_can_be_removed_or_renewed() {
    let mut session = connected(Version::V1_2);
    for renewed in [false, true] {
        let key = subscribe(&mut session, "id:0\ndestination:/a");
        assert_eq!(session.can_deliver(&key), Delivery::Ready);
        assert!(session.end_subscription(&key));
        assert!(!session.end_subscription(&key), "once");
        assert_eq!(session.can_deliver(&key), Delivery::Gone);
        assert_eq!(session.register_delivery(&key, "m"), Err(Delivery::Gone));
        if renewed {
            subscribe(&mut session, "id:0\ndestination:/b");
            assert_eq!(session.subscription(&key).map(|s| &*s.destination), Some("/b"));
        }
        assert!(matches!(session.handle(frame(Command::Unsubscribe, "id:0")), Action::Unsubscribe(_)));
    }
    assert!(!session.end_subscription(&id("0")));
}

#[test]
fn subscriptions_are_limited() {
    let mut session = connected(Version::V1_2);
    for n in 0..MAX_SUBSCRIPTIONS {
        subscribe(&mut session, &format!("id:{n}\ndestination:/a"));
    }
    assert_eq!(session.subscriptions().count(), MAX_SUBSCRIPTIONS);
    let more = violation(&mut session, frame(Command::Subscribe, "id:x\ndestination:/a"));
    assert_eq!(more, Violation::TooManySubscriptions { max: MAX_SUBSCRIPTIONS });
    assert!(more.is_limit());
    assert_eq!(session.subscriptions().count(), 0, "a closed session holds nothing");
}

#[test]
fn ids_and_destinations_are_limited() {
    let long = "x".repeat(MAX_ID + 1);
    let too_long = |header| Violation::HeaderTooLong { command: Command::Subscribe, header, max: 256 };
    assert_eq!(refused(Version::V1_2, &format!("id:{long}\ndestination:/a")), too_long("id"));
    assert_eq!(refused(Version::V1_2, &format!("id:0\ndestination:{long}")), too_long("destination"));
}
