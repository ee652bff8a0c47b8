//! What is pushed to a room beside new messages, and who stops being told.

use crate::common::{App, Heard, Member, code, frame, spawn_app};
use serde_json::{Value, json};
use verbatim_api::stomp::{Command, Frame};

async fn three(app: &App) -> (Member, Member, Member) {
    (app.member("Ada").await, app.member("Ben").await, app.member("Cleo").await)
}

fn body(frame: &Frame) -> Value {
    serde_json::from_slice(&frame.body).unwrap()
}

#[tokio::test]
async fn edits_and_deletions_are_pushed_as_such() {
    let app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    let (mut stomp, mut events) = (ben.stomp().await, ben.room_events(&room, "").await);
    stomp.subscribe("s", &room, None).await;
    ada.count(&room, 1, 2).await;
    for _ in 0..2 {
        stomp.message("message").await;
        events.expect("message").await;
    }
    let path = format!("/rooms/{room}/messages/1");
    let edited = ada.patch(&path, &json!({ "body": "better" })).await.ok(200);
    let pushed = stomp.wait_for(|frame| frame.header("type") == Some("message_edited")).await;
    assert_eq!(pushed.header("seq"), Some("1"));
    assert_eq!(body(&pushed)["body"], "better");
    assert_eq!(body(&pushed)["message_id"], edited["message_id"]);
    assert!(body(&pushed)["edited_at"].is_string());
    let event = events.expect("message_edited").await;
    assert_eq!(event.json(), body(&pushed));
    assert_eq!(event.id, None, "only new messages move the cursor");
    assert!(ada.delete(&path).await.status < 300);
    let pushed = stomp.message("message_deleted").await;
    assert_eq!((&pushed["seq"], &pushed["deleted"]), (&json!(1), &json!(true)));
    assert!(!pushed.to_string().contains("better"), "what is taken back is not told again");
    assert_eq!(events.expect("message_deleted").await.json(), pushed);
    // History says what was pushed.
    let history = &ben.history(&room, "after=0&limit=1").await[0];
    assert_eq!((&history["deleted"], &history["body"]), (&pushed["deleted"], &pushed["body"]));
}

#[tokio::test]
async fn each_push_has_a_message_id_of_its_own() {
    let app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room("a room").await;
    let mut stomp = ada.stomp().await;
    stomp.subscribe("s", &room, None).await;
    stomp.subscribe_unread().await;
    ada.count(&room, 1, 2).await;
    for text in ["a", "b"] {
        ada.patch(&format!("/rooms/{room}/messages/1"), &json!({ "body": text })).await.ok(200);
    }
    for _ in 0..2 {
        ben.join(&room).await;
        ben.say(&room, "to read").await;
        assert!(ben.delete(&format!("/rooms/{room}/messages/{}", 3)).await.status < 500);
        ben.leave(&room).await;
    }
    ada.say(&room, "the end").await;
    let mut ids = std::collections::HashSet::new();
    loop {
        let push = stomp.expect(Command::Message).await;
        let id = push.header("message-id").unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice: {}", body(&push));
        if body(&push)["body"] == "the end" {
            break;
        }
    }
}

#[tokio::test]
async fn typing_is_pushed_and_never_stored() {
    let app = spawn_app().await;
    let (ada, ben, eve) = three(&app).await;
    let room = ada.room_with(&[&ben]).await;
    let (mut listener, mut typist) = (ada.stomp().await, ben.stomp().await);
    let mut events = ada.room_events(&room, "").await;
    listener.subscribe("s", &room, None).await;
    let log = |output: crate::common::Output| output.stdout.lines().count();
    let before = log(app.cli(&["events", "export", "--format", "ndjson"]).await);
    let publish = format!("/publish/{room}/typing");
    typist.confirmed(Command::Send, &[("destination", &publish)], "").await;
    let pushed = listener.message("typing").await;
    assert_eq!(pushed["member_id"], *ben.id);
    assert_eq!((&pushed["display_name"], &pushed["room_id"]), (&json!("Ben"), &json!(room)));
    assert_eq!(events.expect("typing").await.json(), pushed);
    let after = log(app.cli(&["events", "export", "--format", "ndjson"]).await);
    assert!(before > 0 && before == after, "typing is in the log: {before} {after}");
    assert!(ada.whole_history(&room).await.is_empty());
    // Somebody who is not in the room types into the void, and is told so.
    let mut stranger = eve.stomp().await;
    stranger.send(&frame(Command::Send, &[("destination", &publish)], "")).await;
    assert_eq!(code(&stranger.refused().await.0), "not_a_member");
}

#[tokio::test]
async fn people_coming_and_going_are_announced() {
    let app = spawn_app().await;
    let (ada, ben, cleo) = three(&app).await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 2).await;
    let (mut stomp, mut events) = (ada.stomp().await, ada.room_events(&room, "after=2").await);
    stomp.subscribe("s", &room, Some(2)).await;
    ben.join(&room).await;
    let joined = stomp.wait_for(|frame| body(frame)["member_id"] == *ben.id).await;
    assert_eq!(joined.header("type"), Some("member_joined"));
    let joined = body(&joined);
    assert_eq!((&joined["display_name"], &joined["room_id"]), (&json!("Ben"), &json!(room)));
    ada.post(&format!("/rooms/{room}/members"), &json!({ "member_id": cleo.id })).await.ok(200);
    let added = stomp.message("member_joined").await;
    assert_eq!((&added["member_id"], &added["by"]), (&json!(cleo.id), &json!(ada.id)));
    ben.leave(&room).await;
    assert_eq!(stomp.message("member_left").await["member_id"], *ben.id);
    ada.remove(&room, &cleo).await;
    let removed = stomp.message("member_left").await;
    assert_eq!((&removed["member_id"], &removed["by"]), (&json!(cleo.id), &json!(ada.id)));
    for (kind, id) in [
        ("member_joined", &ben.id),
        ("member_joined", &cleo.id),
        ("member_left", &ben.id),
        ("member_left", &cleo.id),
    ] {
        let mut event = events.next().await.unwrap();
        while event.json()["member_id"] == *ada.id {
            event = events.next().await.unwrap();
        }
        assert_eq!((event.kind.as_str(), &event.json()["member_id"]), (kind, &json!(id)));
    }
}

/// Who is put out of a room hears nothing more of it from that moment on, at no door.
#[tokio::test]
async fn who_is_removed_is_cut_off_at_once() {
    let app = spawn_app().await;
    let (ada, ben, cleo) = three(&app).await;
    let room = ada.room_with(&[&ben, &cleo]).await;
    let (mut stomp, mut other) = (ben.stomp().await, cleo.stomp().await);
    stomp.subscribe("s", &room, None).await;
    other.subscribe("s", &room, None).await;
    let mut acknowledging = ben.stomp().await;
    let topic = format!("/topic/{room}");
    let headers = [("id", "a"), ("destination", &*topic), ("ack", "client-individual")];
    acknowledging.confirmed(Command::Subscribe, &headers, "").await;
    let mut events = ben.room_events(&room, "").await;
    ada.say(&room, "for all").await;
    for listener in [&mut stomp, &mut other, &mut acknowledging] {
        assert_eq!(listener.message("message").await["body"], "for all");
    }
    events.expect("message").await;
    ada.remove(&room, &ben).await;
    ada.say(&room, "a secret").await;
    // Whoever stays hears both; whoever went hears that they went, and nothing after that.
    assert_eq!(other.message("member_left").await["member_id"], *ben.id);
    assert_eq!(other.message("message").await["body"], "a secret");
    for listener in [&mut stomp, &mut acknowledging] {
        assert_eq!(listener.message("member_left").await["member_id"], *ben.id);
        // The session lives on. Were the secret on its way, it would come before this.
        let own = ben.room("his own").await;
        listener.subscribe("own", &own, None).await;
        ben.say(&own, "his own").await;
        assert_eq!(listener.message("message").await["body"], "his own");
    }
    assert_eq!(events.expect("member_left").await.json()["member_id"], *ben.id);
    let last = events.next().await;
    assert!(last.is_none_or(|event| event.kind == "close"), "the stream ends");
    // And there is no way back in.
    let mut again = ben.stomp().await;
    again
        .send(&frame(Command::Subscribe, &[("id", "s"), ("destination", &topic), ("after-seq", "0")], ""))
        .await;
    assert_eq!(code(&again.refused().await.0), "not_a_member");
    ben.get(&format!("/rooms/{room}/events")).await.problem(403, "not_a_member");
    ben.get(&format!("/rooms/{room}/messages")).await.problem(403, "not_a_member");
    let publish = format!("/publish/{room}");
    let mut sender = ben.stomp().await;
    sender.send(&frame(Command::Send, &[("destination", &publish)], r#"{"body":"x"}"#)).await;
    assert_eq!(code(&sender.refused().await.0), "not_a_member");
}

/// Removed while history is being read for them, again and again: never a message from after the removal.
#[tokio::test]
async fn a_removal_is_not_outrun_by_resuming() {
    let app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room("a room").await;
    let topic = format!("/topic/{room}");
    for round in 0..12 {
        ben.join(&room).await;
        ben.my_rooms().await;
        ada.say(&room, "open").await;
        let mut stomp = ben.stomp().await;
        let headers = [("id", "s"), ("destination", &*topic), ("after-seq", "0"), ("receipt", "r")];
        let subscribe = frame(Command::Subscribe, &headers, "");
        tokio::join!(stomp.send(&subscribe), async {
            ada.remove(&room, &ben).await;
            ada.say(&room, "secret").await;
        });
        // Everything has been projected and handed on once this has come back.
        ada.whole_history(&room).await;
        let own = ben.room("his own").await;
        stomp
            .send(&frame(Command::Subscribe, &[("id", "o"), ("destination", &format!("/topic/{own}"))], ""))
            .await;
        ben.say(&own, "the end").await;
        loop {
            match stomp.next().await {
                Heard::Frame(frame) if frame.command == Command::Message => {
                    match body(&frame)["body"].as_str() {
                        Some("the end") => break,
                        Some("secret") => {
                            // Said in an earlier round, or told to one who was out.
                            let seq = body(&frame)["seq"].as_u64().unwrap();
                            assert!(seq <= 2 * round, "round {round}: {}", body(&frame));
                        }
                        _ => {}
                    }
                }
                Heard::Frame(frame) if frame.command == Command::Error => break,
                Heard::Closed(_) => break,
                _ => {}
            }
        }
    }
}
