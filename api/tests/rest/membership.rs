//! Joining, adding, leaving, removing; who owns a room then.

use crate::kit::{Answer, Room, User, start};
use serde_json::json;

/// Display names and roles of those in a room, longest-standing first.
async fn inside(user: &User, room: &Room, after: &Answer) -> Vec<(String, String)> {
    let members = user.get(&room.at("/members")).seeing(after).ok(200).await;
    let text = |item: &serde_json::Value, field: &str| item[field].as_str().unwrap().to_owned();
    members.items().iter().map(|item| (text(item, "display_name"), text(item, "role"))).collect()
}

fn named(members: &[(&str, &str)]) -> Vec<(String, String)> {
    members.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect()
}

#[tokio::test]
async fn joining_and_adding_are_harmless_to_repeat() {
    let (_server, api) = start().await;
    let [ada, grace, mary] = api.users().await;
    let room = ada.room("Engines").await;
    let joined = grace.join(&room).ok(200).await;
    assert_eq!(joined.json, json!({ "room_id": room.id, "member_id": grace.id, "changed": true }));
    assert_eq!(grace.join(&room).ok(200).await["changed"], false);
    // Any member may bring somebody in.
    let add = || grace.post(&room.at("/members"), json!({ "member_id": mary.id }));
    assert_eq!(
        add().ok(200).await.json,
        json!({ "room_id": room.id, "member_id": mary.id, "changed": true })
    );
    let last = add().ok(200).await;
    assert_eq!(last["changed"], false);
    // Adding oneself is joining.
    let own = ada.post(&room.at("/members"), json!({ "member_id": ada.id })).ok(200).await;
    assert_eq!(own["changed"], false);
    let expected = named(&[("Member 0", "owner"), ("Member 1", "member"), ("Member 2", "member")]);
    assert_eq!(inside(&mary, &room, &last).await, expected);
    assert_eq!(ada.get(&room.at("")).ok(200).await["member_count"], 3);

    let nobody = json!({ "member_id": "0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11" });
    ada.post(&room.at("/members"), nobody).problem(404, "member_not_found").await;
    for bad in [json!("me"), json!(null), json!(1), json!("")] {
        ada.post(&room.at("/members"), json!({ "member_id": bad })).problem(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn the_last_owner_who_leaves_hands_over_to_the_longest_standing() {
    let (_server, api) = start().await;
    let [ada, grace, mary, zoe] = api.users().await;
    let room = ada.room_with("Engines", &[&grace, &mary, &zoe]).await;
    // Grace comes again, so Mary stands there longest after Ada.
    grace.leave(&room).ok(204).await;
    grace.join(&room).ok(200).await;
    let left = ada.leave(&room).ok(204).await;
    let expected = named(&[("Member 2", "owner"), ("Member 3", "member"), ("Member 1", "member")]);
    assert_eq!(inside(&mary, &room, &left).await, expected);
    // Ada is out, also of reading; leaving twice is no error.
    ada.get(&room.at("/messages")).problem(403, "not_a_member").await;
    ada.leave(&room).ok(204).await;
    // The owner's rights went over.
    let kicked = mary.delete(&room.at(&format!("/members/{}", zoe.id))).ok(204).await;
    let expected = named(&[("Member 2", "owner"), ("Member 1", "member")]);
    assert_eq!(inside(&grace, &room, &kicked).await, expected);
}

#[tokio::test]
async fn only_owners_put_others_out() {
    let (_server, api) = start().await;
    let [ada, grace, mary] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    let out = |by: &User, who: &User| by.delete(&room.at(&format!("/members/{}", who.id)));
    out(&grace, &ada).problem(403, "not_an_owner").await;
    out(&mary, &ada).problem(403, "not_a_member").await;
    let removed = out(&ada, &grace).ok(204).await;
    assert!(removed.position() > 0);
    grace.say(&room, "still here?").problem(403, "not_a_member").await;
    grace.get(&room.at("/events")).problem(403, "not_a_member").await;
    // Being out already is no error; one's own id is the same as `me`.
    out(&ada, &grace).ok(204).await;
    out(&ada, &mary).ok(204).await;
    let last = out(&ada, &ada).ok(204).await;
    assert_eq!(ada.get("/me/rooms").seeing(&last).ok(200).await.items().len(), 0);
    for bad in ["you", "ME", "%20", "0198c2f46f0e7a309d6b0f3c8a1e5b11"] {
        let refused = ada.delete(&room.at(&format!("/members/{bad}"))).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["member_id"], "{bad}");
    }
}

#[tokio::test]
async fn a_room_that_everybody_left_is_closed_for_good() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    let other = ada.room("Others").await;
    ada.say(&room, "last words").ok(201).await;
    ada.leave(&room).ok(204).await;
    let closed = grace.leave(&room).ok(204).await;
    for user in [&ada, &grace] {
        user.join(&room).problem(422, "room_closed").await;
        user.say(&room, "anybody?").problem(403, "not_a_member").await;
    }
    let found = ada.get("/rooms").seeing(&closed).ok(200).await;
    assert_eq!(found.column("room_id"), [json!(other.id)], "a closed room is found");
    assert_eq!(ada.get(&room.at("")).seeing(&closed).ok(200).await["member_count"], 0);
}

#[tokio::test]
async fn who_comes_back_reads_all_and_starts_at_the_end() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    ada.say(&room, "one").ok(201).await;
    grace.leave(&room).ok(204).await;
    ada.say(&room, "two").ok(201).await;
    let back = grace.join(&room).ok(200).await;
    let history = grace.get(&room.at("/messages")).seeing(&back).ok(200).await;
    assert_eq!(history.column("body"), ["one", "two"]);
    let mine = grace.get("/me/rooms").seeing(&back).ok(200).await;
    assert_eq!((&mine.items()[0]["unread"], &mine.items()[0]["read_seq"]), (&json!(0), &json!(2)));
}
