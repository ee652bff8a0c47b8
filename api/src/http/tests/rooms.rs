use super::service;
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn a_room_is_opened_found_and_joined() {
    let client = service().await;
    let ((ada, ada_token), (bob, bob_token)) = (client.member("ada").await, client.member("bob").await);
    let opened = client.post("/rooms", json!({ "name": "Engines" })).by(&ada_token).await;
    assert_eq!(opened.status, 201);
    let room = opened.json["room_id"].as_str().unwrap();
    assert_eq!(opened.json["kind"], "group");
    // RFC 3339 with six digits, always.
    assert_eq!(opened.json["created_at"].as_str().map(str::len), Some("2026-03-01T12:00:00.000001Z".len()));

    let found = client.get("/rooms").by(&bob_token).await;
    assert_eq!((found.status, &found.json["items"][0]["room_id"]), (200, &opened.json["room_id"]));
    assert!(found.json["next"].is_null());

    let join = || client.post(&format!("/rooms/{room}/members"), json!({})).by(&bob_token);
    let joined = join().await;
    assert_eq!(joined.status, 200);
    assert_eq!(joined.json, json!({ "room_id": room, "member_id": bob, "changed": true }));
    assert_eq!(join().await.json["changed"], false);
    assert!(joined.position() > opened.position());

    let members = client.get(&format!("/rooms/{room}/members?limit=1")).by(&bob_token).await;
    assert_eq!(members.json["items"][0]["member_id"], ada.as_str());
    assert_eq!(members.json["items"][0]["role"], "owner");
    assert!(members.json["next"].is_string());
    assert_eq!(client.get(&format!("/rooms/{room}")).by(&bob_token).await.json["member_count"], 2);
}

#[tokio::test]
async fn members_are_added_by_members_and_put_out_by_owners() {
    let client = service().await;
    let ((_, ada_token), (bob, bob_token)) = (client.member("ada").await, client.member("bob").await);
    let (cyd, cyd_token) = client.member("cyd").await;
    let room = client.room(&ada_token).await;
    let add = |who: &str, token: &str| {
        client.post(&format!("/rooms/{room}/members"), json!({ "member_id": who })).by(token)
    };
    add(&cyd, &bob_token).await.assert_problem(403, "not_a_member");
    assert_eq!(add(&bob, &ada_token).await.json["member_id"], bob.as_str());
    add(&Uuid::nil().to_string(), &ada_token).await.assert_problem(404, "member_not_found");
    assert_eq!(add(&cyd, &bob_token).await.status, 200);

    let remove = |who: &str, token: &str| client.delete(&format!("/rooms/{room}/members/{who}")).by(token);
    remove(&cyd, &bob_token).await.assert_problem(403, "not_an_owner");
    let removed = remove(&cyd, &ada_token).await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    assert!(removed.position() > 0);
    client.get(&format!("/rooms/{room}/members")).by(&cyd_token).await.assert_problem(403, "not_a_member");
    // Oneself, by either name.
    assert_eq!(remove("me", &bob_token).await.status, 204);
    assert_eq!(add(&bob, &ada_token).await.status, 200);
    assert_eq!(remove(&bob, &bob_token).await.status, 204);
}

#[tokio::test]
async fn a_direct_room_is_one_whoever_asks() {
    let client = service().await;
    let ((ada, ada_token), (bob, bob_token)) = (client.member("ada").await, client.member("bob").await);
    let (_, cyd_token) = client.member("cyd").await;
    let open = |who: &str, token: &str| client.send("PUT", &format!("/api/v1/direct-rooms/{who}")).by(token);
    let (one, other) = (open(&bob, &ada_token).await, open(&ada, &bob_token).await);
    assert_eq!((one.status, &one.json), (200, &other.json));
    assert_eq!((one.json["kind"].as_str(), one.json["name"].is_null()), (Some("direct"), true));
    open(&ada, &ada_token).await.assert_problem(422, "direct_room_with_oneself");
    open(&Uuid::nil().to_string(), &ada_token).await.assert_problem(404, "member_not_found");
    let room = one.json["room_id"].as_str().unwrap();
    client.get(&format!("/rooms/{room}")).by(&cyd_token).await.assert_problem(403, "not_a_member");
    let leave = client.delete(&format!("/rooms/{room}/members/me")).by(&ada_token).await;
    leave.assert_problem(422, "direct_room_is_fixed");
}

#[tokio::test]
async fn a_room_that_is_not_there_is_not_found() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    let nowhere = format!("/rooms/{}", Uuid::nil());
    client.get(&nowhere).by(&token).await.assert_problem(404, "room_not_found");
    let bad = client.get("/rooms/lobby").by(&token).await;
    bad.assert_problem(400, "invalid_request");
    assert_eq!(bad.wrong(), ["room_id"]);
}

#[tokio::test]
async fn a_read_waits_for_the_write_it_names() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    let room = client.post("/rooms", json!({ "name": "Engines" })).by(&token).await;
    let position = room.position();
    let (now, later) = (position.to_string(), (position + 1).to_string());
    assert_eq!(client.get(&format!("/rooms?min_position={now}")).by(&token).await.status, 200);
    assert_eq!(client.get("/rooms").header("Verbatim-Position", &now).by(&token).await.status, 200);
    let behind = client.get(&format!("/rooms?min_position={later}")).by(&token).await;
    behind.assert_problem(503, "projection_behind");
    assert_eq!(behind.header("Retry-After"), Some("1"));
    // The greater of both counts.
    let both = client.get(&format!("/rooms?min_position={now}")).header("Verbatim-Position", &later);
    both.by(&token).await.assert_problem(503, "projection_behind");
    let bad = client.get("/rooms?min_position=soon").by(&token).await;
    assert_eq!(bad.wrong(), ["min_position"]);
}
