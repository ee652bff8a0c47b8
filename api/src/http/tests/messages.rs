use super::{client::Client, service};
use serde_json::{Value, json};

async fn room_of_two() -> (Client, String, String, String) {
    let client = service().await;
    let ((_, ada), (_, bob)) = (client.member("ada").await, client.member("bob").await);
    let room = client.room(&ada).await;
    client.post(&format!("/rooms/{room}/members"), json!({})).by(&bob).await;
    (client, format!("/rooms/{room}"), ada, bob)
}

async fn say(client: &Client, room: &str, token: &str, body: &str) -> Value {
    let sent = client.post(&format!("{room}/messages"), json!({ "body": body })).by(token).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    sent.json
}

#[tokio::test]
async fn what_is_said_is_read_back() {
    let (client, room, ada, bob) = room_of_two().await;
    let sent = say(&client, &room, &ada, "Good morning!").await;
    assert_eq!((&sent["seq"], &sent["sender_name"]), (&json!(1), &json!("ada")));
    assert_eq!((&sent["edited_at"], &sent["deleted"]), (&Value::Null, &json!(false)));
    let history = client.get(&format!("{room}/messages")).by(&bob).await;
    assert_eq!(history.json, json!({ "items": [sent], "next": null }));
}

#[tokio::test]
async fn history_is_read_in_both_directions() {
    let (client, room, ada, _) = room_of_two().await;
    for number in 1..=5 {
        say(&client, &room, &ada, &format!("message {number}")).await;
    }
    let page = async |query: &str| {
        let page = client.get(&format!("{room}/messages?{query}")).by(&ada).await;
        let seqs: Vec<u64> =
            page.json["items"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect();
        (seqs, page.json["next"].as_u64())
    };
    assert_eq!(page("").await, (vec![1, 2, 3, 4, 5], None));
    assert_eq!(page("limit=2").await, (vec![4, 5], Some(4)));
    assert_eq!(page("limit=2&before=4").await, (vec![2, 3], Some(2)));
    assert_eq!(page("limit=2&before=2").await, (vec![1], None));
    assert_eq!(page("limit=2&after=0").await, (vec![1, 2], Some(2)));
    assert_eq!(page("limit=4&after=2").await, (vec![3, 4, 5], None));
    assert_eq!(page("after=5").await, (vec![], None));
}

#[tokio::test]
async fn history_says_what_is_wrong_with_the_question() {
    let (client, room, ada, _) = room_of_two().await;
    for (query, wrong) in [
        ("before=1&after=1", "after"),
        ("before=0", "before"),
        ("after=-1", "after"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("before=9007199254740992", "before"),
    ] {
        let answer = client.get(&format!("{room}/messages?{query}")).by(&ada).await;
        answer.assert_problem(400, "invalid_request");
        assert_eq!(answer.wrong(), [wrong], "{query}");
    }
}

#[tokio::test]
async fn a_message_is_sent_once_for_each_key() {
    let (client, room, ada, bob) = room_of_two().await;
    let send = |body: &str, token: &str| {
        let message = client.post(&format!("{room}/messages"), json!({ "body": body }));
        message.header("Idempotency-Key", "message-1").by(token)
    };
    let (first, again) = (send("hello", &ada).await, send("hello", &ada).await);
    assert_eq!((first.json["seq"].as_u64(), &again.json), (Some(1), &first.json));
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    send("good-bye", &ada).await.assert_problem(409, "idempotency_key_reused");
    // Keys are each member's own.
    assert_eq!(send("hello", &bob).await.json["seq"], 2);
}

#[tokio::test]
async fn messages_are_changed_by_their_sender() {
    let (client, room, ada, bob) = room_of_two().await;
    say(&client, &room, &ada, "helo").await;
    let edit =
        |token: &str| client.patch(&format!("{room}/messages/1"), json!({ "body": "hello" })).by(token);
    edit(&bob).await.assert_problem(403, "not_the_sender");
    let edited = edit(&ada).await;
    assert_eq!((edited.status, edited.json["body"].as_str()), (200, Some("hello")));
    assert!(edited.json["edited_at"].is_string() && edited.position() > 0);
    let missing = client.delete(&format!("{room}/messages/2")).by(&ada).await;
    missing.assert_problem(404, "message_not_found");

    let delete = || client.delete(&format!("{room}/messages/1")).by(&ada);
    let deleted = delete().await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(delete().await.status, 204);
    edit(&ada).await.assert_problem(422, "message_deleted");
    let history = client.get(&format!("{room}/messages")).by(&ada).await;
    assert_eq!(history.json["items"][0]["body"], "");
    assert_eq!(history.json["items"][0]["deleted"], true);
}

#[tokio::test]
async fn reading_counts_down() {
    let (client, room, ada, bob) = room_of_two().await;
    for body in ["one", "two", "three"] {
        say(&client, &room, &ada, body).await;
    }
    let unread = async || {
        let rooms = client.get("/me/rooms").by(&bob).await;
        (rooms.json["items"][0]["unread"].clone(), rooms.json["items"][0]["last_message"]["body"].clone())
    };
    assert_eq!(unread().await, (json!(3), json!("three")));
    let read = |seq: Value| client.put(&format!("{room}/read-cursor"), json!({ "seq": seq })).by(&bob);
    let marked = read(json!(2)).await;
    assert_eq!((marked.status, &marked.json), (200, &json!({ "read_seq": 2, "unread": 1 })));
    assert!(marked.position() > 0);
    assert_eq!(read(json!(1)).await.json["read_seq"], 2);
    assert_eq!(read(json!(99)).await.json, json!({ "read_seq": 3, "unread": 0 }));
    assert_eq!(unread().await.0, json!(0));
    for bad in [json!(-1), json!("1"), json!(1.5), json!(null)] {
        assert_eq!(read(bad).await.wrong(), ["seq"]);
    }
}

#[tokio::test]
async fn outsiders_neither_read_nor_send() {
    let (client, room, _, _) = room_of_two().await;
    let (_, eve) = client.member("eve").await;
    client.get(&format!("{room}/messages")).by(&eve).await.assert_problem(403, "not_a_member");
    let send = client.post(&format!("{room}/messages"), json!({ "body": "psst" })).by(&eve).await;
    send.assert_problem(403, "not_a_member");
    let read = client.put(&format!("{room}/read-cursor"), json!({ "seq": 1 })).by(&eve).await;
    read.assert_problem(403, "not_a_member");
}

#[tokio::test]
async fn a_message_has_limits() {
    let (client, room, ada, _) = room_of_two().await;
    let send = |body: Value| client.post(&format!("{room}/messages"), json!({ "body": body })).by(&ada);
    for bad in [json!(""), json!(" \n "), json!("a\u{0}"), json!(7), json!("ä".repeat(8_193))] {
        assert_eq!(send(bad).await.wrong(), ["body"]);
    }
    assert_eq!(send(json!("ä".repeat(8_192))).await.status, 201);
    // Kept to the byte.
    assert_eq!(send(json!("  e\u{301}\r\n")).await.json["body"], "  e\u{301}\r\n");
}
