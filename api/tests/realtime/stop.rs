//! A graceful stop: what was accepted is answered, everybody is told to come back, and they find everything again.

use crate::common::{Heard, frame, spawn_app};
use serde_json::json;
use std::collections::BTreeSet;
use tokio_tungstenite::tungstenite::Message;
use verbatim_api::stomp::Command;

#[tokio::test]
async fn everybody_is_told_to_come_back_and_can() {
    let mut app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    ada.count(&room, 1, 3).await;
    let mut stomp = ben.stomp().await;
    stomp.subscribe("s", &room, Some(0)).await;
    for seq in 1..=3 {
        assert_eq!(stomp.message("message").await["seq"], seq);
    }
    let (mut of_room, mut own) = (ben.room_events(&room, "after=2").await, ben.my_events().await);
    of_room.expect("message").await;
    own.expect("connected").await;
    // One that never said who it is, and one that is in the middle of a frame.
    let mut unknown = crate::common::Stomp::open(&app.server, &crate::common::Handshake::default()).await;
    let mut torn = ada.stomp().await;
    torn.send_text("SEND\ndestination:/publ").await;
    app.begin_stop();
    for session in [&mut stomp, &mut unknown, &mut torn] {
        // RFC 6455, section 7.4.1, and IANA's registry: 1012, service restart.
        assert_eq!(session.closed().await.map(|(code, _)| code), Some(1012));
    }
    for stream in [&mut of_room, &mut own] {
        let close = loop {
            let event = stream.next().await.expect("a close event before the end");
            if event.kind == "close" {
                break event;
            }
        };
        assert_eq!(close.json()["code"], "stopping");
        assert!(stream.retry.is_some());
        assert_eq!(stream.next().await, None);
    }
    assert!(app.ended().await.success());
    app.start().await;
    ada.count(&room, 4, 5).await;
    let mut stomp = ben.stomp().await;
    stomp.subscribe("s", &room, Some(3)).await;
    for seq in 4..=5 {
        assert_eq!(stomp.message("message").await["seq"], seq);
    }
    let mut stream = ben.room_events(&room, &format!("after={}", of_room.last_id.unwrap())).await;
    for seq in 4..=5 {
        assert_eq!(stream.expect("message").await.json()["seq"], seq);
    }
}

/// Exactly what is in the log has its receipt: nothing more, nothing less.
#[tokio::test]
async fn every_send_that_was_accepted_is_answered() {
    const SENDS: usize = 4_000;
    let mut app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let destination = format!("/publish/{room}");
    let mut stomp = ada.stomp().await;
    let mut octets = Vec::new();
    for n in 0..SENDS {
        let headers = [("destination", &*destination), ("receipt", &*n.to_string())];
        octets.extend(stomp.encode(&frame(
            Command::Send,
            &headers,
            &json!({ "body": n.to_string() }).to_string(),
        )));
    }
    for part in octets.chunks(100_000) {
        stomp.send_message(Message::binary(part.to_vec())).await;
    }
    let mut answered = BTreeSet::new();
    let closed = loop {
        match stomp.next().await {
            Heard::Frame(receipt) => {
                assert_eq!(receipt.command, Command::Receipt);
                let n: usize = receipt.header("receipt-id").unwrap().parse().unwrap();
                let seq: u64 = receipt.header("seq").unwrap().parse().unwrap();
                if answered.is_empty() {
                    app.begin_stop();
                }
                assert!(answered.insert((seq, n)), "{n} twice");
            }
            Heard::HeartBeat => {}
            Heard::Closed(reason) => break reason,
        }
    };
    assert_eq!(closed.map(|(code, _)| code), Some(1012));
    assert!(app.ended().await.success());
    app.start().await;
    let kept: BTreeSet<(u64, usize)> = ada
        .whole_history(&room)
        .await
        .iter()
        .map(|m| (m["seq"].as_u64().unwrap(), m["body"].as_str().unwrap().parse().unwrap()))
        .collect();
    assert!(!kept.is_empty() && kept.len() < SENDS, "the stop came in the middle: {}", kept.len());
    assert_eq!(kept, answered);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_clients_that_do_not_listen() {
    let mut app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut deaf = Vec::new();
    for _ in 0..5 {
        let mut stomp = ada.stomp().await;
        stomp.subscribe("s", &room, None).await;
        deaf.push(stomp);
    }
    let stream = ada.room_events(&room, "").await;
    // Within the harness's limit, with status 0, though nobody takes the close.
    app.stop().await;
    drop((deaf, stream));
    // Twice in a row, and as soon as it is up.
    app.restart().await;
    app.restart().await;
}
