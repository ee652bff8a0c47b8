//! Group rooms: opening, finding, looking at one.

use crate::kit::start;
use serde_json::{Value, json};

#[tokio::test]
async fn a_room_is_opened_by_its_owner_and_found_by_all() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let opened = ada.post("/rooms", json!({ "name": " Analytical  engines " })).ok(201).await;
    let room = crate::kit::Room { id: opened.str("room_id").to_owned() };
    assert_eq!(opened["kind"], "group");
    assert_eq!(opened["name"], "Analytical  engines");
    assert_eq!((opened.number("member_count"), opened.number("last_seq")), (1, 0));
    // RFC 3339 in UTC, with microseconds.
    let created = opened.str("created_at");
    assert!(created.len() == 27 && created.ends_with('Z'), "{created}");

    // Also for one who is not in it.
    for user in [&ada, &grace] {
        assert_eq!(user.get(&room.at("")).seeing(&opened).ok(200).await.json, opened.json);
        let list = user.get("/rooms").seeing(&opened).ok(200).await;
        assert_eq!(list.json, json!({ "items": [opened.json], "next": null }));
    }
    let members = ada.get(&room.at("/members")).seeing(&opened).ok(200).await;
    assert_eq!(members.column("member_id"), [json!(ada.id)]);
    assert_eq!(members.column("role"), ["owner"]);
    assert_eq!(members.column("display_name"), ["Member 0"]);
    assert_eq!(members.column("joined_at"), [opened["created_at"].clone()]);

    let mine = ada.get("/me/rooms").seeing(&opened).ok(200).await;
    let expected = json!([{ "room": opened.json, "unread": 0, "read_seq": 0, "last_message": null }]);
    assert_eq!(Value::from(mine.items()), expected);
    assert_eq!(grace.get("/me/rooms").seeing(&opened).ok(200).await.items().len(), 0);
}

#[tokio::test]
async fn a_name_is_one_line_that_can_be_seen() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let long = "x".repeat(101);
    for bad in ["", "   ", "a\nb", "a\0", "\u{202e}abc", "\u{200b}", &long] {
        let refused = ada.post("/rooms", json!({ "name": bad })).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["name"], "{bad:?}");
    }
    for good in ["x", "日本語", "👩‍👩‍👧", "<script>alert(1)</script>", &"x".repeat(100)] {
        let opened = ada.post("/rooms", json!({ "name": good })).ok(201).await;
        assert_eq!(opened["name"], good);
    }
    // Two rooms may have one name.
    ada.post("/rooms", json!({ "name": "x" })).ok(201).await;
}

#[tokio::test]
async fn what_needs_a_member_refuses_others_and_what_needs_a_room_says_there_is_none() {
    let (_server, api) = start().await;
    let [ada, eve] = api.users().await;
    let room = ada.room("Engines").await;
    let said = ada.say(&room, "secret plans").ok(201).await;
    let body = json!({ "body": "x" });
    let unknown = crate::kit::Room { id: "0198c2f4-8a1d-7c52-b1aa-4b7e2d90c3f2".to_owned() };

    let calls = |user: &crate::kit::User, room: &crate::kit::Room| {
        vec![
            user.get(&room.at("/members")),
            user.get(&room.at("/messages")),
            user.get(&room.at("/events")),
            user.post(&room.at("/messages"), body.clone()),
            user.patch(&room.at("/messages/1"), body.clone()),
            user.delete(&room.at("/messages/1")),
            user.put(&room.at("/read-cursor"), json!({ "seq": 1 })),
            user.post(&room.at("/members"), json!({ "member_id": ada.id })),
            user.delete(&room.at(&format!("/members/{}", ada.id))),
        ]
    };
    for call in calls(&eve, &room) {
        let answer = call.problem(403, "not_a_member").await;
        assert!(!answer.text().contains("secret plans"));
    }
    let mut of_none = calls(&ada, &unknown);
    of_none.push(ada.get(&unknown.at("")));
    of_none.push(ada.join(&unknown));
    of_none.push(ada.leave(&unknown));
    for call in of_none {
        call.problem(404, "room_not_found").await;
    }
    for call in [
        api.get("/rooms"),
        api.get("/me/rooms"),
        api.get(&room.at("")),
        api.get(&room.at("/members")),
        api.get(&room.at("/messages")),
        api.post("/rooms", json!({ "name": "x" })),
        api.post(&room.at("/messages"), body.clone()),
        api.post(&room.at("/members"), json!({})),
        api.patch(&room.at("/messages/1"), body.clone()),
        api.delete(&room.at("/messages/1")),
        api.put(&room.at("/read-cursor"), json!({ "seq": 1 })),
        api.delete(&room.at("/members/me")),
        api.put(&format!("/direct-rooms/{}", ada.id), json!({})),
    ] {
        call.problem(401, "missing_token").await;
    }
    // Nothing of all that did anything.
    let history = ada.get(&room.at("/messages")).seeing(&said).ok(200).await;
    assert_eq!(history.column("body"), ["secret plans"]);
    assert_eq!(ada.get(&room.at("")).ok(200).await["member_count"], 1);
}
