//! Doing something once, however often it is asked for.

use crate::kit::{restart, start};
use serde_json::json;

const REPLAYED: &str = "Idempotency-Replayed";

#[tokio::test]
async fn the_same_key_with_the_same_content_gets_the_first_answer_again() {
    let (mut server, api) = start().await;
    let ada = api.user("Ada").await;
    let open = || ada.post("/rooms", json!({ "name": "Engines" })).key("room-1");
    let opened = open().ok(201).await;
    assert_eq!(opened.header(REPLAYED), None);
    let room = crate::kit::Room { id: opened.str("room_id").to_owned() };
    let say = |body: &str, key: &str| ada.say(&room, body).key(key);
    let sent = say("hello", "message-1").ok(201).await;
    assert_eq!(sent.header(REPLAYED), None);
    let second = say("hello", "message-2").ok(201).await;
    assert_eq!(second["seq"], 2, "another key is another message");
    for _ in 0..3 {
        let again = say("hello", "message-1").ok(201).await;
        assert_eq!(again.header(REPLAYED), Some("true"));
        assert_eq!(again.json, sent.json);
        let again = open().ok(201).await;
        assert_eq!(again.header(REPLAYED), Some("true"));
        assert_eq!(again.json, opened.json);
    }
    // For ever, and not from memory.
    let api = restart(&mut server).await;
    let again =
        api.post(&room.at("/messages"), json!({ "body": "hello" })).by(&ada).key("message-1").ok(201).await;
    assert_eq!((again.header(REPLAYED), &again.json), (Some("true"), &sent.json));
    let history = api.get(&room.at("/messages")).by(&ada).seeing(&again).ok(200).await;
    assert_eq!(history.column("seq"), [1, 2]);
}

#[tokio::test]
async fn the_same_key_with_other_content_is_a_conflict() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let [one, two] = [ada.room("One").await, ada.room("Two").await];
    ada.say(&one, "hello").key("k").ok(201).await;
    ada.say(&one, "hello!").key("k").problem(409, "idempotency_key_reused").await;
    ada.say(&two, "hello").key("k").problem(409, "idempotency_key_reused").await;
    ada.post("/rooms", json!({ "name": "hello" })).key("k").problem(409, "idempotency_key_reused").await;
    assert_eq!(ada.say(&one, "next").ok(201).await["seq"], 2);
    // Another member has keys of their own.
    let grace = api.user("Grace").await;
    grace.join(&one).ok(200).await;
    let other = grace.say(&one, "hello").key("k").ok(201).await;
    assert_eq!((other.header(REPLAYED), &other["seq"]), (None, &json!(3)));
}

#[tokio::test]
async fn an_account_is_opened_once_under_one_key() {
    let (_server, api) = start().await;
    let open = |name: &str| {
        let body = json!({ "email": "ada@example.org", "password": "12345678", "display_name": name });
        api.post("/members", body).key("r")
    };
    let first = open("Ada").ok(201).await;
    let again = open("Ada").ok(201).await;
    assert_eq!((again.header(REPLAYED), &again.json), (Some("true"), &first.json));
    open("Eve").problem(409, "idempotency_key_reused").await;
    let body = json!({ "email": "ada@example.org", "password": "12345678", "display_name": "Ada" });
    api.post("/members", body).problem(409, "email_taken").await;
}

#[tokio::test]
async fn a_hundred_parallel_sends_with_one_key_are_one_message() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let sends: Vec<_> = (0..100).map(|_| tokio::spawn(ada.say(&room, "once").key("k").ok(201))).collect();
    let mut answers = Vec::new();
    for send in sends {
        answers.push(send.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.json == answers[0].json));
    assert_eq!(answers.iter().filter(|answer| answer.header(REPLAYED).is_none()).count(), 1);
    let history = ada.get(&room.at("/messages")).seeing(&answers[0]).ok(200).await;
    assert_eq!(history.column("body"), ["once"]);
}

#[tokio::test]
async fn a_refused_command_uses_no_key_up() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room("Engines").await;
    grace.say(&room, "hello").key("k").problem(403, "not_a_member").await;
    grace.join(&room).ok(200).await;
    let sent = grace.say(&room, "hello").key("k").ok(201).await;
    assert_eq!(sent.header(REPLAYED), None);
    // It was said while inside: the answer is repeated to one who is not any more.
    grace.leave(&room).ok(204).await;
    assert_eq!(grace.say(&room, "hello").key("k").ok(201).await.json, sent.json);
}

#[tokio::test]
async fn a_key_is_visible_ascii_of_bounded_length() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let long = "x".repeat(129);
    for bad in ["", "a b", &long, "a\tb"] {
        let refused = ada.say(&room, "x").key(bad).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["Idempotency-Key"], "{bad:?}");
    }
    let bytes =
        ada.say(&room, "x").header("Idempotency-Key", b"\xff\xfe").problem(400, "invalid_request").await;
    assert_eq!(bytes.wrong_fields(), ["Idempotency-Key"]);
    let two = ada.say(&room, "x").key("a").key("b").problem(400, "invalid_request").await;
    assert_eq!(two.wrong_fields(), ["Idempotency-Key"]);
    assert_eq!(ada.say(&room, "x").key(&"x".repeat(128)).ok(201).await["seq"], 1);
}
