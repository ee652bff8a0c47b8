//! Octets into frames, whatever the WebSocket messages they come in; receipts and messages as they go out.

use crate::common::{Handshake, Heard, Stomp, code, frame, spawn_app};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use verbatim_api::stomp::Command;

/// RECEIPT of a SEND: durable, with `message-id` and `seq`; MESSAGE: headers and body per INTERFACE.md.
#[tokio::test]
async fn a_receipt_names_the_message_and_the_message_says_it_all() {
    let app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    let (mut sender, mut listener) = (ada.stomp().await, ben.stomp().await);
    listener.subscribe("a:b\\c", &room, None).await;
    for seq in 1..=3_u64 {
        let text = format!("line {seq}\nwith \"quotes\", \u{1f600} and \u{7}");
        let receipt = sender.say(&room, &text).await;
        assert_eq!(receipt.header("seq"), Some(&*seq.to_string()));
        let id = receipt.header("message-id").unwrap();
        let message = listener.wait_for(|frame| frame.header("type") == Some("message")).await;
        assert_eq!(message.header("subscription"), Some("a:b\\c"));
        assert_eq!(message.header("destination"), Some(&*format!("/topic/{room}")));
        assert_eq!(message.header("message-id"), Some(id));
        assert_eq!(message.header("seq"), Some(&*seq.to_string()));
        assert_eq!(message.header("type"), Some("message"));
        assert_eq!(message.header("content-type"), Some("application/json"));
        assert_eq!(message.header("content-length"), Some(&*message.body.len().to_string()));
        assert_eq!(message.header("ack"), None, "nothing to acknowledge in mode auto");
        let mut body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(body["type"].take(), "message");
        body.as_object_mut().unwrap().remove("type");
        // What is pushed can be read back at once, and says the same.
        let history = ben.history(&room, "limit=1").await;
        assert_eq!(history, vec![body.clone()]);
        assert_eq!(body["body"], *text);
        assert_eq!(body["sender_id"], *ada.id);
        assert_eq!(body["sender_name"], "Ada");
        assert_eq!(body["room_id"], *room);
        assert_eq!(body["message_id"], *id);
        assert_eq!((&body["edited_at"], &body["deleted"]), (&Value::Null, &json!(false)));
        assert!(body["sent_at"].as_str().unwrap().ends_with('Z'), "{body}");
    }
}

/// A frame is read from the joined stream: where one WebSocket message ends means nothing.
#[tokio::test]
async fn frames_may_be_cut_and_joined_anywhere() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut stomp = ada.stomp().await;
    let text = "e\u{301}\u{20ac}\u{1f600} cut \u{1f468}\u{200d}\u{1f469}";
    let send = |receipt: &str| {
        let destination = format!("/publish/{room}");
        let headers = [("destination", &*destination), ("receipt", receipt)];
        frame(Command::Send, &headers, &json!({ "body": text }).to_string())
    };
    // Byte by byte, in binary messages: cuts inside characters too.
    for byte in stomp.encode(&send("bytes")) {
        stomp.send_binary(&[byte]).await;
    }
    assert_eq!(stomp.receipt("bytes").await.header("seq"), Some("1"));
    // Character by character, in text messages.
    let encoded = String::from_utf8(stomp.encode(&send("characters"))).unwrap();
    for character in encoded.chars() {
        stomp.send_text(&character.to_string()).await;
    }
    assert_eq!(stomp.receipt("characters").await.header("seq"), Some("2"));
    // Three frames, with heart-beats between them, in one message; then cut in the middle of the second.
    let mut joined = Vec::new();
    for receipt in ["one", "two", "three"] {
        joined.extend(b"\n\r\n\n");
        joined.extend(stomp.encode(&send(receipt)));
    }
    stomp.send_binary(&joined).await;
    for (receipt, seq) in [("one", "3"), ("two", "4"), ("three", "5")] {
        assert_eq!(stomp.receipt(receipt).await.header("seq"), Some(seq));
    }
    for cut in [1, 7, joined.len() / 2, joined.len() - 1] {
        stomp.send_binary(&joined[..cut]).await;
        stomp.send_binary(&joined[cut..]).await;
        stomp.receipt("three").await;
    }
    // WebSocket's own fragments and pings in between change nothing.
    stomp.send_message(Message::Ping(vec![1, 2, 3].into())).await;
    stomp.send(&send("last")).await;
    stomp.receipt("last").await;
    let history = ada.whole_history(&room).await;
    assert_eq!(history.len(), 5 + 4 * 3 + 1);
    assert!(history.iter().all(|message| message["body"] == text));
}

/// 1.2, Body: with content-length, NUL is an octet like any other.
#[tokio::test]
async fn content_length_counts_and_nul_does_not_end_a_frame_then() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
    // In 1.0 a SEND that can't be processed leaves the session open.
    stomp.connect("1.0", &ada.token).await;
    let destination = format!("destination:/publish/{room}");
    // The NUL belongs to the body, which is therefore not JSON: if it had ended the frame, the body would be fine.
    let raw = "{\"body\":\"x\"}\0 ";
    stomp
        .send_text(&format!("SEND\n{destination}\nreceipt:raw\ncontent-length:{}\n\n{raw}\0", raw.len()))
        .await;
    let error = stomp.expect(Command::Error).await;
    assert_eq!((code(&error).as_str(), error.header("receipt-id")), ("invalid_body", Some("raw")));
    // Escaped, as JSON wants it, it is a NUL in the text, which no message may hold.
    stomp.send_text(&format!("SEND\n{destination}\nreceipt:escaped\n\n{{\"body\":\"a\\u0000b\"}}\0")).await;
    let error = stomp.expect(Command::Error).await;
    assert_eq!((code(&error).as_str(), error.header("receipt-id")), ("invalid_field", Some("escaped")));
    // The stream is still in step.
    assert_eq!(stomp.say(&room, "fine").await.header("seq"), Some("1"));
}

/// Value Encoding: 1.0 knows no escapes, 1.1 three, 1.2 four.
#[tokio::test]
async fn headers_are_escaped_as_each_version_wants_it() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    for (version, sent, answered) in
        [("1.0", r"a\cb", r"a\cb"), ("1.1", r"a\cb\n\\", r"a\cb\n\\"), ("1.2", r"a\cb\n\\\r", r"a\cb\n\\\r")]
    {
        let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
        stomp.connect(version, &ada.token).await;
        stomp.send_text(&format!("BEGIN\ntransaction:t\nreceipt:{sent}\n\n\0")).await;
        let receipt = stomp.expect(Command::Receipt).await;
        let bytes = stomp.encode(&receipt);
        let wire = String::from_utf8_lossy(&bytes);
        assert!(wire.contains(&format!("receipt-id:{answered}\n")), "{version}: {wire}");
    }
}

/// 1.2, Heart-beating: both ways, and who promised them and is silent counts as dead.
#[tokio::test]
async fn heart_beats_go_both_ways() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let beating = [("accept-version", "1.2"), ("passcode", &*ada.token), ("heart-beat", "1000,1000")];
    let mut alive = Stomp::open(&app.server, &Handshake::default()).await;
    let connected = alive.connect_with(&beating).await;
    let (sends, wants) = connected.header("heart-beat").unwrap().split_once(',').unwrap();
    assert!(sends.parse::<u32>().unwrap() > 0 && wants.parse::<u32>().unwrap() > 0);
    let mut silent = Stomp::open(&app.server, &Handshake::default()).await;
    silent.connect_with(&beating).await;
    let mut unbound = ada.stomp().await;
    let mut beats = 0;
    let silence = async {
        loop {
            match silent.next().await {
                Heard::HeartBeat => beats += 1,
                other => return other,
            }
        }
    };
    // Each of the server's heart-beats is answered by one.
    let company = async {
        for _ in 0..3 {
            assert_eq!(alive.next().await, Heard::HeartBeat);
            alive.send_text("\n").await;
        }
    };
    let (end, ()) = tokio::join!(silence, company);
    assert!(matches!(end, Heard::Closed(Some((1008, _)))), "{end:?}");
    assert!(beats >= 1, "the server promised heart-beats, too");
    alive.subscribe_unread().await;
    // Who promised nothing is let live.
    unbound.subscribe_unread().await;
}
