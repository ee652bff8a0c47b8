//! Event streams: shape, tickets, who may.

use crate::common::{SseStream, spawn_app};
use reqwest::Method;

#[tokio::test]
async fn a_room_stream_says_what_a_browser_needs() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let request = ada.request(Method::GET, &format!("/rooms/{room}/events"));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    drop(response);
    let mut stream = ada.room_events(&room, "").await;
    for text in ["line\nbreak", "carriage\rreturn", "\u{2028}\u{feff}: colon", "data: x\n\nid: 7"] {
        let message = ada.say(&room, text).await;
        let event = stream.expect("message").await;
        assert_eq!(event.json()["body"], text);
        assert_eq!(event.id.as_deref(), Some(&*message["seq"].to_string()));
    }
    assert!(stream.retry.is_some_and(|retry| retry > 0));
    assert!(stream.comments > 0, "something is sent at once, so that the client knows it is connected");
}

#[tokio::test]
async fn a_ticket_opens_one_stream_only() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 2).await;
    for path in
        [format!("/api/v1/rooms/{room}/events?after=1&ticket="), "/api/v1/me/events?ticket=".to_owned()]
    {
        let url = format!("{path}{}", ada.ticket().await);
        let mut stream = SseStream::open(app.server.request(Method::GET, &url)).await;
        assert!(stream.next().await.is_some());
        app.server.get(&url).await.problem(401, "invalid_ticket");
        app.server.get(&format!("{path}{}", ada.token)).await.problem(401, "invalid_ticket");
    }
}

#[tokio::test]
async fn only_members_follow_a_room() {
    let app = spawn_app().await;
    let (ada, eve) = (app.member("Ada").await, app.member("Eve").await);
    let room = ada.room("a room").await;
    let path = format!("/rooms/{room}/events");
    eve.get(&path).await.problem(403, "not_a_member");
    eve.get("/rooms/018f0000-0000-7000-8000-000000000001/events").await.problem(404, "room_not_found");
    app.server.get(&format!("/api/v1{path}")).await.problem(401, "missing_token");
    app.server.get("/api/v1/me/events").await.problem(401, "missing_token");
    // One may be told of rooms without being in any.
    assert_eq!(eve.my_events().await.expect("connected").await.json()["member_id"], *eve.id);
}

/// Comments tell proxies and clients that the stream lives.
#[tokio::test]
async fn a_quiet_stream_sends_comments() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    let request = ada.request(Method::GET, &format!("/rooms/{room}/events?after=0"));
    let mut response = request.send().await.unwrap();
    let mut text = String::new();
    crate::common::within("a heartbeat", async {
        while !text.contains(": heartbeat\n\n") {
            text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
        }
    })
    .await;
}
