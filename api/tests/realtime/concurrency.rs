//! Many at once.

use crate::common::{Member, frame, spawn_app};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use verbatim_api::stomp::Command;

#[tokio::test]
async fn of_fifty_registrations_of_one_address_one_wins() {
    let app = spawn_app().await;
    let register = |n: usize| {
        // The same address, however it is written.
        let email = if n.is_multiple_of(2) { "Ada@Example.org" } else { "ada@example.org" };
        let body = json!({ "email": email, "password": "correct horse battery", "display_name": format!("Ada {n}") });
        let server = app.server.clone();
        async move {
            loop {
                let answer = server.post("/api/v1/members", &body).await;
                // Hashing passwords is bounded; whoever is turned away comes back.
                if answer.status != 503 {
                    return answer;
                }
            }
        }
    };
    let answers = join_all((0..50).map(register)).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 49);
    let log_in = json!({ "email": "ADA@example.org", "password": "correct horse battery" });
    app.server.post("/api/v1/auth/login", &log_in).await.ok(200);
    let events = app.cli(&["events", "export", "--format", "ndjson"]).await;
    let registered = events.stdout.lines().filter(|line| line.contains("MemberRegistered")).count();
    assert_eq!(registered, 1, "{}", events.stdout);
}

#[tokio::test]
async fn a_hundred_sends_with_one_key_are_one_message() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let over_rest = join_all((0..50).map(|_| {
        let request = ada.request(Method::POST, &format!("/rooms/{room}/messages"));
        ada.server.call(request.header("Idempotency-Key", "k").json(&json!({ "body": "once" })))
    }));
    let destination = format!("/publish/{room}");
    let over_stomp = join_all((0..50).map(|_| async {
        let headers = [("destination", &*destination), ("idempotency-key", "k")];
        let receipt = ada.stomp().await.confirmed(Command::Send, &headers, r#"{"body":"once"}"#).await;
        (receipt.header("message-id").unwrap().to_owned(), receipt.header("seq").unwrap().to_owned())
    }));
    let (answers, receipts) = tokio::join!(over_rest, over_stomp);
    let mut results: BTreeSet<(String, String)> = receipts.into_iter().collect();
    for answer in answers {
        let message = answer.ok(201);
        results.insert((message["message_id"].as_str().unwrap().to_owned(), message["seq"].to_string()));
    }
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(ada.whole_history(&room).await.len(), 1);
}

#[tokio::test]
async fn twenty_who_talk_at_once_are_heard_in_one_order() {
    const EACH: usize = 25;
    let app = spawn_app().await;
    let mut members = Vec::new();
    for n in 0..20 {
        members.push(app.member(&format!("Member {n}")).await);
    }
    let room = members[0].room_with(&members[1..].iter().collect::<Vec<_>>()).await;
    let talk = |member: Member, n: usize| {
        let room = room.clone();
        async move {
            let (mut ears, mut mouth) = (member.stomp().await, member.stomp().await);
            ears.subscribe("s", &room, Some(0)).await;
            let destination = format!("/publish/{room}");
            for i in 0..EACH {
                if n.is_multiple_of(4) {
                    member.say(&room, &format!("{n}-{i}")).await;
                } else {
                    let body = json!({ "body": format!("{n}-{i}") }).to_string();
                    mouth.send(&frame(Command::Send, &[("destination", &destination)], &body)).await;
                }
            }
            let mut heard = Vec::new();
            while heard.len() < 20 * EACH {
                let message = ears.message("message").await;
                heard.push((message["seq"].as_u64().unwrap(), message["body"].as_str().unwrap().to_owned()));
            }
            heard
        }
    };
    let heard = join_all(members.iter().cloned().enumerate().map(|(n, member)| talk(member, n))).await;
    let first = &heard[0];
    assert!(first.iter().map(|(seq, _)| *seq).eq(1..=20 * EACH as u64), "gapless");
    assert!(heard.iter().all(|other| other == first), "one order");
    let history: Vec<(u64, String)> = members[0]
        .whole_history(&room)
        .await
        .iter()
        .map(|m: &Value| (m["seq"].as_u64().unwrap(), m["body"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(&history, first, "and history says the same");
    // What one member says is in the order in which they said it.
    for n in 0..20 {
        let own: Vec<&str> =
            first.iter().filter_map(|(_, body)| body.strip_prefix(&format!("{n}-"))).collect();
        assert!(own.iter().copied().eq((0..EACH).map(|i| i.to_string())), "member {n}: {own:?}");
    }
    // Everybody has read up to what they said last.
    for (n, member) in members.iter().enumerate() {
        let own = first.iter().filter(|(_, body)| body.starts_with(&format!("{n}-")));
        let last = own.map(|(seq, _)| *seq).max().unwrap();
        let room = &member.my_rooms().await[0];
        assert_eq!((&room["read_seq"], &room["unread"]), (&json!(last), &json!(20 * EACH as u64 - last)));
    }
}
