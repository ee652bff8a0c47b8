//! Marking messages read.

use crate::kit::start;
use serde_json::json;

#[tokio::test]
async fn a_cursor_goes_forward_only_and_not_beyond_the_end() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    for number in 1..=5 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    // Asked for, then read up to, and left unread.
    for (seq, read, unread) in
        [(0, 0, 5), (2, 2, 3), (1, 2, 3), (0, 2, 3), (2, 2, 3), (4, 4, 1), (1000, 5, 0), (3, 5, 0)]
    {
        let answer = grace.read(&room, seq).ok(200).await;
        assert_eq!(answer.json, json!({ "read_seq": read, "unread": unread }), "after {seq}");
    }
    // Beyond the end means up to what was the end: what comes later is unread.
    ada.say(&room, "message 6").ok(201).await;
    let mine = grace.get("/me/rooms").seeing(&ada.say(&room, "message 7").ok(201).await).ok(200).await;
    assert_eq!((&mine.items()[0]["read_seq"], &mine.items()[0]["unread"]), (&json!(5), &json!(2)));
    // Sending reads up to one's own message.
    let sent = grace.say(&room, "message 8").ok(201).await;
    let mine = grace.get("/me/rooms").seeing(&sent).ok(200).await;
    assert_eq!((&mine.items()[0]["read_seq"], &mine.items()[0]["unread"]), (&json!(8), &json!(0)));
    assert_eq!(grace.read(&room, 3).ok(200).await.json, json!({ "read_seq": 8, "unread": 0 }));

    for bad in [json!(-1), json!(1.5), json!("1"), json!(null), json!(9_007_199_254_740_992_u64), json!(true)]
    {
        let refused =
            grace.put(&room.at("/read-cursor"), json!({ "seq": bad })).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["seq"], "{bad}");
    }
    grace.put(&room.at("/read-cursor"), json!({})).problem(400, "invalid_request").await;
    assert_eq!(grace.read(&room, 9_007_199_254_740_991).ok(200).await["read_seq"], 8);
}

#[tokio::test]
async fn in_an_empty_room_there_is_nothing_to_read() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    for seq in [0, 1, 7] {
        assert_eq!(ada.read(&room, seq).ok(200).await.json, json!({ "read_seq": 0, "unread": 0 }));
    }
}

#[tokio::test]
async fn deleted_messages_are_not_unread() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    for number in 1..=4 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    ada.delete(&room.at("/messages/3")).ok(204).await;
    assert_eq!(grace.read(&room, 1).ok(200).await["unread"], 2);
    // One that was read already: nothing changes.
    ada.delete(&room.at("/messages/1")).ok(204).await;
    assert_eq!(grace.read(&room, 1).ok(200).await["unread"], 2);
    assert_eq!(grace.read(&room, 3).ok(200).await["unread"], 1);
}

#[tokio::test]
async fn cursors_moved_at_once_end_at_the_furthest() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    for number in 1..=30 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    let moves: Vec<_> = (1..=30).map(|seq| tokio::spawn(grace.read(&room, (seq * 7) % 31).ok(200))).collect();
    for one in moves {
        let answer = one.await.unwrap();
        assert_eq!(answer.number("read_seq") + answer.number("unread"), 30, "{answer}");
    }
    assert_eq!(grace.read(&room, 0).ok(200).await.json, json!({ "read_seq": 30, "unread": 0 }));
}
