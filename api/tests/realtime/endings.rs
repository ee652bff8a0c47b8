//! What ends a session, and what does not.

use crate::common::{App, Handshake, Heard, Member, Stomp, code, frame, spawn_app};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use verbatim_api::stomp::Command;

const NOWHERE: &str = "018f0000-0000-7000-8000-000000000001";

async fn session(app: &App, member: &Member, version: &str) -> Stomp {
    let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
    stomp.connect(version, &member.token).await;
    stomp
}

/// SEND in 1.1 and 1.2: "the server MUST send the client an ERROR frame and then close the connection"; 1.0 says
/// nothing of closing.
#[tokio::test]
async fn a_bad_send_ends_the_session_from_1_1_on() {
    let app = spawn_app().await;
    let (ada, eve) = (app.member("Ada").await, app.member("Eve").await);
    let (room, other) = (ada.room("a room").await, eve.room("not Ada's").await);
    let (room_path, other_path) = (format!("/publish/{room}"), format!("/publish/{other}"));
    let nowhere = format!("/publish/{NOWHERE}");
    let too_long = json!({ "body": "x".repeat(16 * 1024 + 1) }).to_string();
    let cases = [
        (&*room_path, "not json", "invalid_body"),
        (&*room_path, r#"{"text":"x"}"#, "invalid_body"),
        (&*room_path, r#"{"body":" "}"#, "invalid_field"),
        (&*room_path, &*too_long, "invalid_field"),
        (&*other_path, r#"{"body":"x"}"#, "not_a_member"),
        (&*nowhere, r#"{"body":"x"}"#, "room_not_found"),
        ("/queue/x", r#"{"body":"x"}"#, "unknown_destination"),
    ];
    for (destination, body, reason) in cases {
        for version in ["1.1", "1.2"] {
            let mut stomp = session(&app, &ada, version).await;
            let headers = [("destination", destination), ("receipt", "r")];
            stomp.send(&frame(Command::Send, &headers, body)).await;
            let (error, close) = stomp.refused().await;
            assert_eq!((code(&error).as_str(), close), (reason, 1008), "{version} {destination} {body:.40}");
            assert_eq!(error.header("receipt-id"), Some("r"));
            assert!(error.header("message").is_some_and(|message| !message.is_empty()));
        }
    }
    let mut patient = session(&app, &ada, "1.0").await;
    for (destination, body, reason) in cases {
        let headers = [("destination", destination), ("receipt", "r")];
        patient.send(&frame(Command::Send, &headers, body)).await;
        let error = patient.expect(Command::Error).await;
        assert_eq!((code(&error).as_str(), error.header("receipt-id")), (reason, Some("r")));
    }
    assert_eq!(patient.say(&room, "still here").await.header("seq"), Some("1"));
    assert_eq!(eve.whole_history(&other).await.len(), 0);
}

#[tokio::test]
async fn who_is_not_in_a_room_can_not_listen_to_it() {
    let app = spawn_app().await;
    let (ada, eve) = (app.member("Ada").await, app.member("Eve").await);
    let room = ada.room("a room").await;
    let destination = format!("/topic/{room}");
    for version in ["1.1", "1.2"] {
        for (destination, reason) in [
            (&*destination, "not_a_member"),
            (&*format!("/topic/{NOWHERE}"), "room_not_found"),
            ("/topic/x", "unknown_destination"),
            ("/user/queue/other", "unknown_destination"),
        ] {
            let mut stomp = session(&app, &eve, version).await;
            let headers = [("id", "s"), ("destination", destination), ("after-seq", "0")];
            stomp.send(&frame(Command::Subscribe, &headers, "")).await;
            let (error, close) = stomp.refused().await;
            assert_eq!((code(&error).as_str(), close), (reason, 1008), "{version} {destination}");
        }
    }
    // In 1.0 the session goes on, and hears nothing of the room.
    let mut stomp = session(&app, &eve, "1.0").await;
    stomp.send(&frame(Command::Subscribe, &[("id", "s"), ("destination", &destination)], "")).await;
    assert_eq!(code(&stomp.expect(Command::Error).await), "not_a_member");
    ada.say(&room, "a secret").await;
    // The receipt comes after whatever the message would have sent.
    let own = eve.room("her own").await;
    stomp.subscribe("own", &own, None).await;
    eve.say(&own, "hers").await;
    assert_eq!(stomp.message("message").await["body"], "hers");
}

/// 1.2, ERROR: whatever breaks the protocol ends the session, in every version.
#[tokio::test]
async fn broken_frames_end_the_session() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let long = format!("SEND\ndestination:/publish/{NOWHERE}\n\n{}", "x".repeat(70_000));
    for (version, octets, receipt) in [
        ("1.2", "NONSENSE\n\n\0", None),
        ("1.2", "send\ndestination:/x\n\n\0", None),
        ("1.2", "SEND\nreceipt:r\nno colon\n\n\0", Some("r")),
        ("1.2", "SEND\nreceipt:r\ndestination:a\\tb\n\n\0", Some("r")),
        ("1.1", "SEND\nreceipt:r\ndestination:a\\rb\n\n\0", Some("r")),
        ("1.2", "SEND\nreceipt:r\ndestination:/publish/x\ncontent-length:2\n\nabc\0", Some("r")),
        ("1.2", "SEND\nreceipt:r\n\nno destination\0", Some("r")),
        ("1.2", "SUBSCRIBE\nreceipt:r\ndestination:/user/queue/unread\n\n\0", Some("r")),
        ("1.2", "UNSUBSCRIBE\nid:nothing\nreceipt:r\n\n\0", Some("r")),
        ("1.2", "ACK\nid:0-0\nreceipt:r\n\n\0", Some("r")),
        ("1.2", "COMMIT\ntransaction:t\nreceipt:r\n\n\0", Some("r")),
        ("1.2", "BEGIN\nreceipt:r\n\n\0", Some("r")),
        ("1.0", "NACK\nmessage-id:x\nreceipt:r\n\n\0", Some("r")),
        ("1.2", "CONNECTED\nversion:1.2\n\n\0", None),
        ("1.2", "SUBSCRIBE\nid:s\nreceipt:r\ndestination:/user/queue/unread\nafter-seq:-1\n\n\0", Some("r")),
        ("1.2", &long, None),
    ] {
        let mut stomp = session(&app, &ada, version).await;
        stomp.send_text(octets).await;
        let (error, close) = stomp.refused().await;
        assert_eq!((code(&error).as_str(), close), ("stomp_violation", 1002), "{octets:.60}");
        assert_eq!(error.header("receipt-id"), receipt, "{octets:.60}");
    }
}

#[tokio::test]
async fn a_message_too_large_for_the_socket_is_refused() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let mut stomp = ada.stomp().await;
    stomp.send_message(Message::text("x".repeat(300 * 1024))).await;
    assert!(matches!(stomp.next().await, Heard::Closed(Some((1009, _))) | Heard::Closed(None)));
    // Nobody else minds.
    ada.stomp().await.subscribe_unread().await;
}

/// 1.2, DISCONNECT: the receipt comes after everything before it, then the close.
#[tokio::test]
async fn disconnect_is_answered_after_all_before_it() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let destination = format!("/publish/{room}");
    for version in ["1.0", "1.1", "1.2"] {
        let mut stomp = session(&app, &ada, version).await;
        let mut all = Vec::new();
        for n in 0..20 {
            let headers = [("destination", &*destination), ("receipt", &*format!("send-{n}"))];
            all.extend(stomp.encode(&frame(Command::Send, &headers, r#"{"body":"last words"}"#)));
        }
        all.extend(stomp.encode(&frame(Command::Disconnect, &[("receipt", "bye")], "")));
        // What comes after DISCONNECT is not read any more.
        all.extend(b"NONSENSE\n\n\0");
        stomp.send_binary(&all).await;
        for n in 0..20 {
            let receipt = stomp.expect(Command::Receipt).await;
            assert_eq!(receipt.header("receipt-id"), Some(&*format!("send-{n}")), "in the order sent");
        }
        assert_eq!(stomp.expect(Command::Receipt).await.header("receipt-id"), Some("bye"));
        assert_eq!(stomp.closed().await.map(|(code, _)| code), Some(1000));
    }
    assert_eq!(ada.whole_history(&room).await.len(), 60);
}

/// stomp-py and webstomp-client close right after DISCONNECT; what was sent before counts all the same.
#[tokio::test]
async fn what_was_sent_counts_though_the_client_is_gone() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut listener = ada.stomp().await;
    listener.subscribe("s", &room, None).await;
    let destination = format!("/publish/{room}");
    let mut stomp = ada.stomp().await;
    stomp.send(&frame(Command::Send, &[("destination", &destination)], r#"{"body":"and gone"}"#)).await;
    stomp.send(&frame(Command::Disconnect, &[("receipt", "bye")], "")).await;
    stomp.send_message(Message::Close(None)).await;
    drop(stomp);
    assert_eq!(listener.message("message").await["body"], "and gone");
}
