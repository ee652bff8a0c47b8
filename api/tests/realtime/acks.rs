//! Acknowledgments and transactions.

use crate::common::{App, Handshake, Heard, Member, Stomp, code, frame, spawn_app};
use serde_json::{Value, json};
use verbatim_api::stomp::{Command, Frame};

/// Messages of one subscription that may wait for acknowledgment.
const WINDOW: u64 = 256;

async fn session(app: &App, member: &Member, version: &str) -> Stomp {
    let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
    stomp.connect(version, &member.token).await;
    stomp
}

/// A room in which everything up to message 1 has been handed on, the creator's coming in included: that would take a
/// place in the window.
async fn settled_room(member: &Member) -> String {
    let room = member.room("a room").await;
    let mut stomp = member.stomp().await;
    stomp.subscribe("s", &room, None).await;
    member.count(&room, 1, 1).await;
    stomp.message("message").await;
    room
}

async fn listen(stomp: &mut Stomp, room: &str, ack: &str) {
    let topic = format!("/topic/{room}");
    stomp.confirmed(Command::Subscribe, &[("id", "s"), ("destination", &topic), ("ack", ack)], "").await;
}

/// Sends many messages at once and waits until all are accepted.
async fn flood(member: &Member, room: &str, count: u64) {
    let mut stomp = member.stomp().await;
    let destination = format!("/publish/{room}");
    let mut octets = Vec::new();
    for n in 1..=count {
        let receipt = (n == count).then_some(("receipt", "all"));
        let headers: Vec<_> = [("destination", &*destination)].into_iter().chain(receipt).collect();
        octets.extend(stomp.encode(&frame(Command::Send, &headers, &format!(r#"{{"body":"{n}"}}"#))));
    }
    stomp.send_binary(&octets).await;
    stomp.receipt("all").await;
}

/// How a message is named in an ACK of this version.
fn ack(version: &str, command: Command, message: &Frame) -> Frame {
    match version {
        "1.2" => frame(command, &[("id", message.header("ack").unwrap())], ""),
        _ => {
            let id = message.header("message-id").unwrap();
            frame(command, &[("subscription", "s"), ("message-id", id)], "")
        }
    }
}

async fn messages(stomp: &mut Stomp, from: u64, to: u64) -> Vec<Frame> {
    let mut all = Vec::new();
    for seq in from..=to {
        let message = stomp.wait_for(|frame| frame.header("type") == Some("message")).await;
        assert_eq!(message.header("seq"), Some(&*seq.to_string()));
        all.push(message);
    }
    all
}

/// Nothing more comes: the answer to this is the next thing heard.
async fn is_silent(stomp: &mut Stomp) {
    stomp.send(&frame(Command::Begin, &[("transaction", "probe"), ("receipt", "probe")], "")).await;
    match stomp.next().await {
        Heard::Frame(frame) if frame.header("receipt-id") == Some("probe") => {}
        other => panic!("{other:?}"),
    }
    stomp.confirmed(Command::Abort, &[("transaction", "probe")], "").await;
}

/// Delivery pauses at the window, and goes on as acknowledgments come: cumulative in mode `client`, one by one in mode
/// `client-individual`. NACK settles like ACK: nothing is redelivered, history has it.
#[tokio::test]
async fn a_client_that_acknowledges_is_sent_a_window_at_a_time() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    for (version, mode) in [
        ("1.0", "client"),
        ("1.1", "client"),
        ("1.2", "client"),
        ("1.1", "client-individual"),
        ("1.2", "client-individual"),
    ] {
        let room = settled_room(&ada).await;
        let mut stomp = session(&app, &ada, version).await;
        listen(&mut stomp, &room, mode).await;
        flood(&ada, &room, 2 * WINDOW + 10).await;
        let first = messages(&mut stomp, 2, WINDOW + 1).await;
        assert!(
            first.iter().all(|message| message.header("ack").is_some() == (version == "1.2")),
            "{version}"
        );
        is_silent(&mut stomp).await;
        let refuses = if version == "1.0" { Command::Ack } else { Command::Nack };
        match mode {
            "client" => {
                stomp.send(&ack(version, Command::Ack, &first[9])).await;
                messages(&mut stomp, WINDOW + 2, WINDOW + 11).await;
                is_silent(&mut stomp).await;
                stomp.send(&ack(version, refuses, &first[19])).await;
                messages(&mut stomp, WINDOW + 12, WINDOW + 21).await;
            }
            _ => {
                stomp.send(&ack(version, Command::Ack, &first[9])).await;
                messages(&mut stomp, WINDOW + 2, WINDOW + 2).await;
                is_silent(&mut stomp).await;
                stomp.send(&ack(version, refuses, &first[0])).await;
                messages(&mut stomp, WINDOW + 3, WINDOW + 3).await;
            }
        }
        is_silent(&mut stomp).await;
        // An acknowledgment for a second time, or of what nobody got, ends the session.
        stomp.send(&ack(version, Command::Ack, &first[9])).await;
        assert_eq!(code(&stomp.refused().await.0), "stomp_violation", "{version} {mode}");
    }
}

#[tokio::test]
async fn a_receipt_to_an_ack_is_given() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let mut stomp = ada.stomp().await;
    listen(&mut stomp, &room, "client").await;
    ada.count(&room, 1, 2).await;
    let got = messages(&mut stomp, 1, 2).await;
    stomp.confirmed(Command::Nack, &[("id", got[0].header("ack").unwrap())], "").await;
    stomp.confirmed(Command::Ack, &[("id", got[1].header("ack").unwrap())], "").await;
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let app = spawn_app().await;
    let (ada, eve) = (app.member("Ada").await, app.member("Eve").await);
    let (room, second, foreign) =
        (ada.room("a room").await, ada.room("another").await, eve.room("Eve's").await);
    let say = |room: &str, text: &str, receipt: &str| {
        let destination = format!("/publish/{room}");
        let headers = [("destination", &*destination), ("transaction", "t"), ("receipt", receipt)];
        frame(Command::Send, &headers, &json!({ "body": text }).to_string())
    };
    let mut listener = ada.stomp().await;
    listener.subscribe("s", &room, None).await;
    let mut stomp = ada.stomp().await;

    // Nothing is sent before the COMMIT, and then all of it, in order, each with its receipt.
    stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
    stomp.send(&say(&room, "one", "r1")).await;
    stomp.send(&say(&second, "two", "r2")).await;
    stomp.send(&say(&room, "three", "r3")).await;
    is_silent(&mut stomp).await;
    assert!(ada.whole_history(&room).await.is_empty());
    stomp.send(&frame(Command::Commit, &[("transaction", "t"), ("receipt", "c")], "")).await;
    for (receipt, seq) in [("r1", Some("1")), ("r2", Some("1")), ("r3", Some("2")), ("c", None)] {
        let answer = stomp.expect(Command::Receipt).await;
        assert_eq!((answer.header("receipt-id"), answer.header("seq")), (Some(receipt), seq));
        assert_eq!(answer.header("message-id").is_some(), seq.is_some());
    }
    assert_eq!(listener.message("message").await["body"], "one");
    assert_eq!(listener.message("message").await["body"], "three");

    // ABORT: nothing.
    stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
    stomp.send(&say(&room, "never", "r4")).await;
    stomp.confirmed(Command::Abort, &[("transaction", "t")], "").await;
    is_silent(&mut stomp).await;

    // One refused message: none is sent, and the session ends.
    for (bad_room, text, reason) in
        [(&foreign, "x", "not_a_member"), (&room, " ", "invalid_field"), (&room, "\u{0}", "invalid_field")]
    {
        let mut stomp = ada.stomp().await;
        stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
        stomp.send(&say(&room, "good", "r5")).await;
        stomp.send(&say(bad_room, text, "r6")).await;
        stomp.send(&say(&room, "good too", "r7")).await;
        stomp.send(&frame(Command::Commit, &[("transaction", "t"), ("receipt", "c")], "")).await;
        let (error, _) = stomp.refused().await;
        assert_eq!((code(&error).as_str(), error.header("receipt-id")), (reason, Some("c")));
    }

    // A session that ends without COMMIT: nothing.
    let mut gone = ada.stomp().await;
    gone.confirmed(Command::Begin, &[("transaction", "t")], "").await;
    gone.send(&say(&room, "unfinished", "r8")).await;
    gone.confirmed(Command::Disconnect, &[], "").await;

    ada.say(&room, "the end").await;
    let texts = |history: Vec<Value>| history.iter().map(|m| m["body"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(ada.whole_history(&room).await), ["one", "three", "the end"]);
    assert_eq!(texts(ada.whole_history(&second).await), ["two"]);
    assert!(eve.whole_history(&foreign).await.is_empty());
}

/// Acknowledgments in a transaction count with its COMMIT, and not after an ABORT.
#[tokio::test]
async fn acknowledgments_wait_for_their_commit() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = settled_room(&ada).await;
    let mut stomp = ada.stomp().await;
    listen(&mut stomp, &room, "client").await;
    flood(&ada, &room, WINDOW + 20).await;
    let got = messages(&mut stomp, 2, WINDOW + 1).await;
    let id = got[4].header("ack").unwrap();
    for end in [Command::Abort, Command::Commit] {
        stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
        stomp.confirmed(Command::Ack, &[("id", id), ("transaction", "t")], "").await;
        is_silent(&mut stomp).await;
        stomp.send(&frame(end, &[("transaction", "t")], "")).await;
    }
    messages(&mut stomp, WINDOW + 2, WINDOW + 6).await;
    is_silent(&mut stomp).await;
}

#[tokio::test]
async fn the_same_key_is_the_same_message() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let destination = format!("/publish/{room}");
    let headers = [("destination", &*destination), ("idempotency-key", "k1")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut stomp = ada.stomp().await;
        for _ in 0..2 {
            let receipt = stomp.confirmed(Command::Send, &headers, r#"{"body":"once"}"#).await;
            ids.push((
                receipt.header("message-id").unwrap().to_owned(),
                receipt.header("seq").unwrap().to_owned(),
            ));
        }
    }
    // The same over REST: one key, one message.
    let request = ada.request(reqwest::Method::POST, &format!("/rooms/{room}/messages"));
    let again = ada
        .server
        .call(request.header("Idempotency-Key", "k1").json(&json!({ "body": "once" })))
        .await
        .ok(201);
    assert!(ids.iter().all(|(id, seq)| again["message_id"] == **id && seq == "1"), "{ids:?} {again}");
    assert_eq!(ada.whole_history(&room).await.len(), 1);
    let mut stomp = ada.stomp().await;
    stomp.send(&frame(Command::Send, &headers, r#"{"body":"something else"}"#)).await;
    assert_eq!(code(&stomp.refused().await.0), "idempotency_key_reused");
}
