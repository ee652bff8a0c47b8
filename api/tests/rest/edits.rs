//! Changing and taking back what one said.

use crate::kit::start;
use serde_json::json;

#[tokio::test]
async fn a_message_is_edited_by_its_sender() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    let sent = ada.say(&room, "frist").ok(201).await;
    grace.say(&room, "second").ok(201).await;
    let edited = ada.patch(&room.at("/messages/1"), json!({ "body": " first " })).ok(200).await;
    let mut expected = sent.json.clone();
    expected["body"] = json!(" first ");
    expected["edited_at"] = edited["edited_at"].clone();
    assert_eq!(edited.json, expected);
    assert!(edited.str("edited_at") >= sent.str("sent_at"));
    let history = grace.get(&room.at("/messages")).seeing(&edited).ok(200).await;
    assert_eq!(history.items()[0], expected);

    for (body, why) in [("", "blank"), ("\0", "NUL"), (" \n ", "blank")] {
        let refused =
            ada.patch(&room.at("/messages/1"), json!({ "body": body })).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["body"], "{why}");
    }
    let edit = |seq: &str| ada.patch(&room.at(&format!("/messages/{seq}")), json!({ "body": "x" }));
    edit("2").problem(403, "not_the_sender").await;
    edit("3").problem(404, "message_not_found").await;
    edit("9007199254740991").problem(404, "message_not_found").await;
    for bad in ["0", "-1", "1.0", "x", "9007199254740992", "99999999999999999999999"] {
        let refused = edit(bad).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["seq"], "{bad}");
    }
    let unchanged = ada.get(&room.at("/messages?after=1")).ok(200).await;
    assert_eq!(unchanged.column("body"), ["second"]);
}

#[tokio::test]
async fn a_message_is_deleted_by_its_sender_and_its_words_are_gone() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    ada.say(&room, "regrettable").ok(201).await;
    grace.say(&room, "fine").ok(201).await;
    ada.patch(&room.at("/messages/1"), json!({ "body": "more regrettable" })).ok(200).await;
    grace.delete(&room.at("/messages/1")).problem(403, "not_the_sender").await;
    let deleted = ada.delete(&room.at("/messages/1")).ok(204).await;
    let history = grace.get(&room.at("/messages")).seeing(&deleted).ok(200).await;
    assert!(!history.text().contains("regrettable"), "{history}");
    assert_eq!(history.column("deleted"), [true, false]);
    assert_eq!(history.column("body"), ["", "fine"]);
    // Its number stays, so nobody's place shifts.
    assert_eq!(history.column("seq"), [1, 2]);

    let again = ada.delete(&room.at("/messages/1")).ok(204).await;
    assert!(again.position() >= deleted.position());
    ada.patch(&room.at("/messages/1"), json!({ "body": "x" })).problem(422, "message_deleted").await;
    ada.delete(&room.at("/messages/3")).problem(404, "message_not_found").await;
    // The newest message may be a deleted one: the list of rooms shows no words either.
    let last = grace.delete(&room.at("/messages/2")).ok(204).await;
    let mine = ada.get("/me/rooms").seeing(&last).ok(200).await;
    let message = &mine.items()[0]["last_message"];
    assert_eq!(
        (&message["seq"], &message["deleted"], &message["body"]),
        (&json!(2), &json!(true), &json!(""))
    );
}

#[tokio::test]
async fn one_who_left_changes_nothing_any_more() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    grace.say(&room, "mine").ok(201).await;
    grace.leave(&room).ok(204).await;
    grace.patch(&room.at("/messages/1"), json!({ "body": "x" })).problem(403, "not_a_member").await;
    grace.delete(&room.at("/messages/1")).problem(403, "not_a_member").await;
    // Edits and deletions of one who is back go on, and take no numbers.
    grace.join(&room).ok(200).await;
    grace.patch(&room.at("/messages/1"), json!({ "body": "edited" })).ok(200).await;
    assert_eq!(ada.say(&room, "next").ok(201).await["seq"], 2);
}
