use super::*;

/// 1.2, SEND.
#[test]
fn send_carries_everything_the_application_needs() {
    let headers = "destination:/publish/r\ncontent-type:application/json\nreceipt:r1\nidempotency-key:k\n\
                   content-length:2\nx-color:blue\nx-color:red";
    let expected = Send {
        destination: "/publish/r".to_owned(),
        body: "{}".into(),
        content_type: Some("application/json".to_owned()),
        idempotency_key: Some("k".to_owned()),
        receipt: Some("r1".to_owned()),
        user_headers: vec![
            ("x-color".to_owned(), "blue".to_owned()),
            ("x-color".to_owned(), "red".to_owned()),
        ],
    };
    for version in Version::ALL {
        let action = connected(version).handle(frame(Command::Send, headers).with_body("{}"));
        assert_eq!(action, Action::Send(expected.clone()));
    }
}

/// 1.2, SEND: "one REQUIRED header, destination".
#[test]
fn send_needs_a_destination() {
    for headers in ["receipt:r", "destination:\nreceipt:r"] {
        let missing = violation(&mut connected(Version::V1_2), frame(Command::Send, headers));
        assert_eq!(missing, Violation::MissingHeader { command: Command::Send, header: "destination" });
    }
}

/// 1.2, Header receipt: "Any client frame other than CONNECT MAY specify a receipt header".
#[test]
fn a_receipt_can_be_asked_for_on_any_frame() {
    let mut session = connected(Version::V1_2);
    let receipt = Some("r".to_owned());
    for (command, headers) in
        [(Command::Begin, "transaction:t\nreceipt:r"), (Command::Abort, "transaction:t\nreceipt:r")]
    {
        assert_eq!(session.handle(frame(command, headers)), Action::Done { receipt: receipt.clone() });
    }
    let subscribe = session.handle(frame(Command::Subscribe, "id:0\ndestination:/a\nack:client\nreceipt:r"));
    assert!(matches!(subscribe, Action::Subscribe(s) if s.receipt == receipt));
    let ack = session.register_delivery(&SubscriptionKey::Id("0".into()), "m").unwrap().unwrap();
    let settled = session.handle(frame(Command::Ack, &format!("id:{ack}\nreceipt:r")));
    assert!(matches!(settled, Action::Settled(s) if s.receipt == receipt));
    let gone = session.handle(frame(Command::Unsubscribe, "id:0\nreceipt:r"));
    assert!(matches!(gone, Action::Unsubscribe(u) if u.receipt == receipt));
    let send = session.handle(frame(Command::Send, "destination:/a\nreceipt:r"));
    assert!(matches!(send, Action::Send(s) if s.receipt == receipt));
}
