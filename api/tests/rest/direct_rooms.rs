//! Rooms of two.

use crate::kit::{Room, start};
use serde_json::json;

#[tokio::test]
async fn two_members_have_one_direct_room() {
    let (_server, api) = start().await;
    let [ada, grace, eve] = api.users().await;
    let open = |by: &crate::kit::User, with: &str| by.put(&format!("/direct-rooms/{with}"), json!({}));
    let opened = open(&ada, &grace.id).ok(200).await;
    assert_eq!(opened["kind"], "direct");
    assert_eq!(opened["name"], json!(null));
    assert_eq!((opened.number("member_count"), opened.number("last_seq")), (2, 0));
    for (by, with) in [(&ada, &grace), (&grace, &ada)] {
        assert_eq!(open(by, &with.id).ok(200).await.json, opened.json);
    }
    let room = Room { id: opened.str("room_id").to_owned() };
    // No body is needed.
    ada.get("/me/rooms").ok(200).await;
    api.call(reqwest::Method::PUT, &format!("/direct-rooms/{}", grace.id)).by(&ada).ok(200).await;

    // Both are in it at once, and one who is not learns nothing of it.
    let said = grace.say(&room, "hello").ok(201).await;
    let history = ada.get(&room.at("/messages")).seeing(&said).ok(200).await;
    assert_eq!(history.column("sender_id"), [json!(grace.id)]);
    assert_eq!(ada.get("/me/rooms").ok(200).await.items()[0]["unread"], 1);
    eve.get(&room.at("")).problem(403, "not_a_member").await;
    eve.get(&room.at("/messages")).problem(403, "not_a_member").await;
    assert_eq!(eve.get("/rooms").seeing(&said).ok(200).await.items().len(), 0, "a direct room is found");

    // Its members are fixed.
    eve.join(&room).problem(422, "direct_room_is_fixed").await;
    ada.post(&room.at("/members"), json!({ "member_id": eve.id })).problem(422, "direct_room_is_fixed").await;
    ada.leave(&room).problem(422, "direct_room_is_fixed").await;
    ada.delete(&room.at(&format!("/members/{}", grace.id))).problem(422, "direct_room_is_fixed").await;

    open(&ada, &ada.id).problem(422, "direct_room_with_oneself").await;
    open(&ada, "0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11").problem(404, "member_not_found").await;
    open(&ada, "me").problem(400, "invalid_request").await;
}

#[tokio::test]
async fn of_many_who_open_it_at_once_all_get_the_same() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let attempts: Vec<_> = (0..20)
        .map(|number| {
            let (by, with) = if number % 2 == 0 { (&ada, &grace) } else { (&grace, &ada) };
            tokio::spawn(by.put(&format!("/direct-rooms/{}", with.id), json!({})).ok(200))
        })
        .collect();
    let mut rooms = Vec::new();
    for attempt in attempts {
        rooms.push(attempt.await.unwrap().str("room_id").to_owned());
    }
    rooms.dedup();
    assert_eq!(rooms.len(), 1);
    let mine = ada.get("/me/rooms").ok(200).await;
    assert!(mine.items().len() <= 1, "{mine}");
}
