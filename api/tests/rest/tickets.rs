//! One-use tickets, for streams where no header can be set.

use crate::{
    common::within,
    kit::{Api, User, start},
};
use serde_json::json;

async fn ticket(user: &User) -> String {
    let issued = user.post("/auth/ticket", json!({})).ok(201).await;
    let lifetime = issued.number("expires_in");
    assert!((1..=60).contains(&lifetime), "{issued}");
    issued.str("ticket").to_owned()
}

/// Opens a stream and leaves it as soon as it has begun.
async fn opens(api: &Api, path: &str) {
    let response = within("a stream", reqwest::get(format!("{}/api/v1{path}", api.base))).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    for path in ["/me/events".to_owned(), room.at("/events")] {
        let used = ticket(&ada).await;
        opens(&api, &format!("{path}?ticket={used}")).await;
        let again = api.get(&format!("{path}?ticket={used}")).problem(401, "invalid_ticket").await;
        assert!(!again.text().contains(&used));
    }
    api.get("/me/events?ticket=made-up").problem(401, "invalid_ticket").await;
    api.get("/me/events?ticket=").problem(400, "invalid_request").await;
    api.get("/me/events").problem(401, "missing_token").await;
    api.post("/auth/ticket", json!({})).problem(401, "missing_token").await;
}

#[tokio::test]
async fn of_many_uses_of_one_ticket_at_once_one_succeeds() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let path = format!("{}/api/v1/me/events?ticket={}", api.base, ticket(&ada).await);
    let uses: Vec<_> = (0..16).map(|_| tokio::spawn(reqwest::get(path.clone()))).collect();
    let mut opened = 0;
    for one in uses {
        let response = within("an answer", one).await.unwrap().unwrap();
        match response.status().as_u16() {
            200 => opened += 1,
            status => assert_eq!(status, 401),
        }
    }
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_ticket_is_no_access_token_and_opens_no_room_of_others() {
    let (_server, api) = start().await;
    let [ada, eve] = api.users().await;
    let room = ada.room("Engines").await;
    let given = ticket(&eve).await;
    api.get("/members/me").bearer(&given).problem(401, "invalid_token").await;
    api.get(&format!("/members/me?ticket={given}")).problem(401, "missing_token").await;
    let other = ticket(&eve).await;
    api.get(&room.at(&format!("/events?ticket={other}"))).problem(403, "not_a_member").await;
}
