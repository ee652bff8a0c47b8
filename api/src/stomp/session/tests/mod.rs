//! The state machine against the specification, rule by rule.

mod ack;
mod connect;
mod send;
mod subscribe;
mod transaction;

use super::*;
use crate::stomp::frame::Command;

/// A session that has been connected and accepted.
fn connected(version: Version) -> Session {
    let mut session = Session::new(HeartBeatPolicy::default());
    let connect = Frame::new(Command::Connect).with("accept-version", version.as_str());
    assert!(matches!(session.handle(connect), Action::Connect(request) if request.version == version));
    session.accept();
    session
}

/// A frame with `name:value` headers, one a line.
fn frame(command: Command, headers: &str) -> Frame {
    headers.lines().fold(Frame::new(command), |frame, line| {
        let (name, value) = line.split_once(':').unwrap();
        frame.with(name, value)
    })
}

/// The violation that this frame is, after checking that it closed the session.
fn violation(session: &mut Session, frame: Frame) -> Violation {
    let receipt = frame.header("receipt").map(str::to_owned);
    match session.handle(frame) {
        Action::Error(error) => {
            assert!(session.is_closed());
            assert_eq!(error.receipt_id, receipt);
            assert!(!error.violation.summary().contains([':', '\\', '\n', '\r']));
            error.violation
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

fn subscribe(session: &mut Session, headers: &str) -> SubscriptionKey {
    match session.handle(frame(Command::Subscribe, headers)) {
        Action::Subscribe(subscribe) => subscribe.key,
        other => panic!("expected a subscription, got {other:?}"),
    }
}

fn done(session: &mut Session, frame: Frame) {
    let action = session.handle(frame);
    assert_eq!(action, Action::Done { receipt: None });
}
