use super::*;
use crate::stomp::negotiate::HeartBeat;

fn connect(command: Command, headers: &str) -> Action {
    Session::new(HeartBeatPolicy { send_ms: 10_000, want_ms: 20_000 }).handle(frame(command, headers))
}

fn request(headers: &str) -> ConnectRequest {
    match connect(Command::Connect, headers) {
        Action::Connect(request) => request,
        other => panic!("expected a request, got {other:?}"),
    }
}

fn token(headers: &str) -> Option<String> {
    request(headers).token.map(|token| token.expose().to_owned())
}

/// 1.2, Connecting.
#[test]
fn connect_comes_first() {
    for command in [Command::Send, Command::Subscribe, Command::Disconnect] {
        let mut session = Session::new(HeartBeatPolicy::default());
        let first = frame(command, "destination:/a\nreceipt:1");
        assert_eq!(violation(&mut session, first), Violation::NotConnected { command });
    }
}

#[test]
fn connect_comes_once() {
    for command in [Command::Connect, Command::Stomp] {
        let mut session = connected(Version::V1_2);
        assert_eq!(violation(&mut session, Frame::new(command)), Violation::AlreadyConnected);
    }
}

#[test]
fn nothing_passes_while_the_connect_is_checked() {
    let mut session = Session::new(HeartBeatPolicy::default());
    assert!(matches!(session.handle(frame(Command::Connect, "accept-version:1.2")), Action::Connect(_)));
    let early = frame(Command::Send, "destination:/a");
    assert_eq!(violation(&mut session, early), Violation::ConnectPending { command: Command::Send });
    session.accept();
    assert!(session.is_closed(), "accept does not revive a closed session");
}

/// 1.2, CONNECT or STOMP Frame: "servers MUST handle a STOMP frame in the same manner as a CONNECT frame".
#[test]
fn stomp_is_connect() {
    let headers = "accept-version:1.1,1.2\nhost:h\npasscode:t\nheart-beat:1,2";
    assert_eq!(connect(Command::Stomp, headers), connect(Command::Connect, headers));
}

/// 1.2, Protocol Negotiation.
#[test]
fn the_version_is_the_highest_in_common() {
    assert_eq!(request("accept-version:1.0,1.1,2.0").version, Version::V1_1);
    assert_eq!(request("login:x").version, Version::V1_0);
    let Action::Error(error) = connect(Command::Connect, "accept-version:2.1") else { panic!("no error") };
    assert_eq!(error.violation.headers(), [("version", "1.0,1.1,1.2")]);
    assert_eq!(error.to_string(), "Supported protocol versions are 1.0 1.1 1.2");
}

/// Before CONNECT is granted frames go out without escapes, because the client may know none.
#[test]
fn frames_are_encoded_for_1_0_until_the_version_is_known() {
    let mut session = Session::new(HeartBeatPolicy::default());
    assert_eq!(session.version(), Version::V1_0);
    session.handle(frame(Command::Connect, "accept-version:1.2"));
    assert_eq!(session.version(), Version::V1_2);
}

#[test]
fn the_token_comes_from_authorization_or_passcode() {
    assert_eq!(token("Authorization:Bearer abc").as_deref(), Some("abc"));
    assert_eq!(token("authorization: bearer  abc").as_deref(), Some("abc"));
    assert_eq!(token("passcode:p\nAuthorization:Bearer abc").as_deref(), Some("abc"));
    assert_eq!(token("login:ann\npasscode:abc").as_deref(), Some("abc"));
    assert_eq!(token("passcode: abc ").as_deref(), Some("abc"), "1.0 pads values");
    assert_eq!(token("accept-version:1.2\npasscode: abc ").as_deref(), Some(" abc "), "1.2 never trims");
    assert_eq!(token("Authorization:Basic abc\npasscode:p").as_deref(), Some("p"));
    assert_eq!(token("Authorization:Bearer \npasscode:"), None);
}

#[test]
fn tokens_stay_out_of_debug_output() {
    let action = connect(Command::Connect, "passcode:s3cret");
    assert!(!format!("{action:?}").contains("s3cret"));
}

/// 1.2, Heart-beating: a missing header is `0,0`.
#[test]
fn heart_beats_are_negotiated() {
    let agreed = |headers: &str| {
        let beat = request(headers).heart_beat;
        (beat.send_every.map(|d| d.as_millis()), beat.receive_every.map(|d| d.as_millis()))
    };
    assert_eq!(agreed("accept-version:1.2\nheart-beat:5000,30000"), (Some(30_000), Some(20_000)));
    assert_eq!(agreed("accept-version:1.2"), (None, None));
    assert_eq!(request("heart-beat:nonsense").heart_beat, HeartBeat::NONE, "1.0 has none");
    let Action::Error(error) = connect(Command::Connect, "accept-version:1.1\nheart-beat:nonsense") else {
        panic!("no error")
    };
    assert_eq!(error.violation, Violation::BadHeartBeat);
}

/// 1.2 requires `host`, but webstomp-client sends none.
#[test]
fn host_may_be_missing() {
    assert_eq!(request("accept-version:1.2").host, None);
    assert_eq!(request("accept-version:1.2\nhost:chat.example").host.as_deref(), Some("chat.example"));
}

/// 1.2, DISCONNECT.
#[test]
fn disconnect_hands_out_its_receipt_and_ends_the_session() {
    let mut session = connected(Version::V1_2);
    done(&mut session, frame(Command::Begin, "transaction:t"));
    let end = session.handle(frame(Command::Disconnect, "receipt:77"));
    assert_eq!(end, Action::Disconnect { receipt: Some("77".to_owned()) });
    assert!(session.is_closed());
    // "Clients MUST NOT send any more frames after the DISCONNECT frame is sent."
    done(&mut session, frame(Command::Send, "destination:/a\nreceipt:78"));
}

#[test]
fn server_frames_are_refused() {
    for command in [Command::Connected, Command::Message, Command::Receipt, Command::Error] {
        let mut session = connected(Version::V1_2);
        assert_eq!(violation(&mut session, Frame::new(command)), Violation::NotAClientCommand { command });
    }
}

/// 1.2, Body: "Only the SEND, MESSAGE, and ERROR frames MAY have a body." 1.0, SUBSCRIBE: "The body … is ignored."
#[test]
fn only_send_has_a_body() {
    let begin = || frame(Command::Begin, "transaction:t");
    let mut session = connected(Version::V1_1);
    let refused = violation(&mut session, begin().with_body("x"));
    assert_eq!(refused, Violation::UnexpectedBody { command: Command::Begin });
    done(&mut connected(Version::V1_2), begin().with_body("\r\n"));
    done(&mut connected(Version::V1_0), begin().with_body("x"));
    let mut session = Session::new(HeartBeatPolicy::default());
    let connect = frame(Command::Connect, "accept-version:1.2").with_body("x");
    assert_eq!(violation(&mut session, connect), Violation::UnexpectedBody { command: Command::Connect });
}

#[test]
fn a_decoder_failure_closes_the_session() {
    let mut session = connected(Version::V1_2);
    let error = session.fail(DecodeError::NulInHeaders, Some("9"));
    assert!(session.is_closed());
    assert_eq!(error.receipt_id.as_deref(), Some("9"));
    assert_eq!(error.violation.summary(), "malformed frame");
}
