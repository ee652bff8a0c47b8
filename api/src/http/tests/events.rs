use super::service;
use serde_json::json;
use verbatim_domain::RoomId;

#[tokio::test]
async fn a_stream_resumes_where_the_client_says() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    let room = client.room(&token).await;
    let path = format!("/rooms/{room}/events");
    let streams = [
        client.get(&path),
        client.get(&format!("{path}?after=3")),
        client.get(&format!("{path}?lastEventId=4&after=3")),
        client.get(&format!("{path}?lastEventId=4&after=3")).header("Last-Event-ID", "5"),
    ];
    for stream in streams {
        let answer = stream.by(&token).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    }
    let asked: Vec<_> = client.probe.streams.lock().unwrap().iter().map(|one| (one.1, one.2)).collect();
    let id: Option<RoomId> = room.parse().ok();
    assert_eq!(asked, [(id, None), (id, Some(3)), (id, Some(4)), (id, Some(5))]);
    let bad = client.get(&path).header("Last-Event-ID", "latest").by(&token).await;
    assert_eq!(bad.wrong(), ["Last-Event-ID"]);
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let client = service().await;
    let (id, token) = client.member("ada").await;
    let ticket = client.send("POST", "/api/v1/auth/ticket").by(&token).await;
    assert_eq!((ticket.status, ticket.json["expires_in"].as_u64()), (201, Some(30)));
    let path = format!("/me/events?ticket={}", ticket.json["ticket"].as_str().unwrap());
    assert_eq!(client.get(&path).await.status, 200);
    assert_eq!(client.probe.streams.lock().unwrap()[0].0.to_string(), id);
    client.get(&path).await.assert_problem(401, "invalid_ticket");
    client.get("/me/events").await.assert_problem(401, "missing_token");
    // An access token has no place in a URL, where logs would keep it.
    client.get(&format!("/me/events?ticket={token}")).await.assert_problem(401, "invalid_ticket");
}

#[tokio::test]
async fn a_ticket_is_good_for_streams_only() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    let ticket = client.send("POST", "/api/v1/auth/ticket").by(&token).await;
    let path = format!("/members/me?ticket={}", ticket.json["ticket"].as_str().unwrap());
    client.get(&path).await.assert_problem(401, "missing_token");
    let bearer = client.get("/members/me").by(ticket.json["ticket"].as_str().unwrap()).await;
    bearer.assert_problem(401, "invalid_token");
    assert_eq!(client.post("/rooms", json!({ "name": "a" })).await.status, 401);
}
