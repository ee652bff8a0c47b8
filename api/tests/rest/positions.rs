//! Reading one's own writes.

use crate::kit::start;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_read_with_the_position_of_a_write_sees_it() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut before = 0;
    for number in 1..=50_u64 {
        let sent = ada.say(&room, &format!("message {number}")).ok(201).await;
        let position = sent.position();
        assert!(position > before, "positions do not grow");
        before = position;
        let newest = room.at("/messages?limit=1");
        let read = match number % 3 {
            0 => ada.get(&format!("{newest}&min_position={position}")),
            1 => ada.get(&newest).header("Verbatim-Position", position.to_string()),
            // Of both, the greater counts.
            _ => {
                ada.get(&format!("{newest}&min_position=1")).header("Verbatim-Position", position.to_string())
            }
        };
        assert_eq!(read.ok(200).await.items(), std::slice::from_ref(&sent.json));
        let mine = ada.get("/me/rooms").seeing(&sent).ok(200).await;
        assert_eq!(mine.items()[0]["last_message"], sent.json);
        let list = ada.get(&format!("/rooms?min_position={position}")).ok(200).await;
        assert_eq!(list.items()[0]["last_seq"], number);
    }
}

#[tokio::test]
async fn every_command_says_its_position_and_a_repeated_one_too() {
    let (_server, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room("Engines").await;
    let commands = [
        ada.post("/rooms", json!({ "name": "x" })).ok(201).await,
        grace.join(&room).ok(200).await,
        // Changes nothing, but is in the past all the same.
        grace.join(&room).ok(200).await,
        ada.say(&room, "x").ok(201).await,
        ada.patch(&room.at("/messages/1"), json!({ "body": "y" })).ok(200).await,
        grace.read(&room, 1).ok(200).await,
        ada.delete(&room.at("/messages/1")).ok(204).await,
        ada.patch("/members/me", json!({ "display_name": "z" })).ok(200).await,
        ada.put(&format!("/direct-rooms/{}", grace.id), json!({})).ok(200).await,
        grace.leave(&room).ok(204).await,
    ];
    for command in &commands {
        let read = ada.get("/me/rooms").seeing(command).ok(200).await;
        assert!(read.header("Verbatim-Position").is_none(), "{read}");
    }
}

#[tokio::test]
async fn a_position_far_ahead_is_waited_for_and_then_refused() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    ada.say(&room, "x").ok(201).await;
    let paths = [
        "/members".to_owned(),
        "/members/me".to_owned(),
        "/rooms".to_owned(),
        room.at(""),
        room.at("/members"),
        room.at("/messages"),
        "/me/rooms".to_owned(),
    ];
    let began = Instant::now();
    let waiting: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(number, path)| {
            let call = ada.get(path);
            let position = "9007199254740991";
            tokio::spawn(match number % 2 {
                0 => call.header("Verbatim-Position", position).problem(503, "projection_behind"),
                _ => ada.get(&format!("{path}?min_position={position}")).problem(503, "projection_behind"),
            })
        })
        .collect();
    // Nobody else waits meanwhile.
    ada.get("/me/rooms").ok(200).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for one in waiting {
        one.await.unwrap();
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(15)).contains(&took), "{took:?}");
    for bad in ["-1", "x", "", "1.5", "9007199254740992", "1, 2"] {
        let refused =
            ada.get("/rooms").header("Verbatim-Position", bad).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["Verbatim-Position"], "{bad}");
    }
    ada.get("/rooms?min_position=-1").problem(400, "invalid_request").await;
}

#[tokio::test]
async fn a_read_waits_for_a_write_that_is_under_way() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let position = ada.say(&room, "one").ok(201).await.position();
    // The next message gets the next position: nobody else writes.
    let path = room.at(&format!("/messages?min_position={}", position + 1));
    let read = tokio::spawn(ada.get(&path).ok(200));
    let sent = ada.say(&room, "two").ok(201).await;
    assert_eq!(sent.position(), position + 1);
    assert_eq!(read.await.unwrap().column("body"), ["one", "two"]);
}
