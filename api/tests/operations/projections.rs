//! The operators' verbs on the command line.

use crate::{
    common::{App, Setup},
    kit::{Api, cli::succeed, restart, start},
};
use serde_json::{Value, json};

const NAMES: [&str; 4] = ["members", "message_history", "rooms", "unread"];

async fn status(app: &App) -> Vec<Value> {
    let printed = succeed(app, &["projections", "status", "--json"]).await;
    let mut all: Vec<Value> = serde_json::from_str(&printed).unwrap();
    all.sort_by_key(|one| one["name"].to_string());
    all
}

/// The version of one projection that is read, and the one kept for going back.
async fn versions(app: &App, name: &str) -> (u64, Option<u64>) {
    let all = status(app).await;
    let one = all.iter().find(|one| one["name"] == name).unwrap();
    (one["version"].as_u64().unwrap(), one["previous_version"].as_u64())
}

/// A server with something in it; gives the position of the last command.
async fn chat() -> (App, Api, u64) {
    let (app, api) = start().await;
    let [ada, grace] = api.users().await;
    let room = ada.room_with("Engines", &[&grace]).await;
    for number in 1..=5 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    grace.read(&room, 3).ok(200).await;
    ada.delete(&room.at("/messages/5")).ok(204).await;
    let last = ada.patch(&room.at("/messages/4"), json!({ "body": "edited" })).ok(200).await;
    ada.get("/me/rooms").seeing(&last).ok(200).await;
    (app, api, last.position())
}

#[tokio::test]
async fn status_says_where_each_projection_is() {
    let (mut app, _api, head) = chat().await;
    for running in [true, false] {
        if !running {
            app.stop().await;
        }
        for command in ["list", "status"] {
            let printed = succeed(&app, &["projections", command, "--json"]).await;
            let all: Vec<Value> = serde_json::from_str(&printed).unwrap();
            let mut names: Vec<&str> = all.iter().map(|one| one["name"].as_str().unwrap()).collect();
            names.sort_unstable();
            assert_eq!(names, NAMES);
            for one in &all {
                assert_eq!(
                    (&one["checkpoint"], &one["head"], &one["lag"]),
                    (&json!(head), &json!(head), &json!(0))
                );
                assert_eq!((&one["version"], &one["last_error"]), (&json!(1), &Value::Null), "{one}");
                assert!(one["previous_version"].is_null() && one["updated_at"].is_string(), "{one}");
            }
            let table = succeed(&app, &["projections", command]).await;
            assert_eq!(table.lines().count(), 1 + NAMES.len(), "{table}");
            for name in NAMES {
                let row = table.lines().find(|line| line.starts_with(name)).unwrap();
                assert_eq!(
                    row.split_whitespace().filter(|word| *word == head.to_string()).count(),
                    2,
                    "{row}"
                );
            }
        }
    }
    let empty = Setup::default().stopped();
    assert_eq!(status(&empty).await.len(), NAMES.len());
}

#[tokio::test]
async fn a_difference_is_found_named_and_mended_by_a_rebuild() {
    let (app, _api, _) = chat().await;
    let clean = succeed(&app, &["projections", "verify", "--all"]).await;
    assert!(clean.contains(" 0 differ"), "{clean}");

    // Somebody's hand in the read models, while the service runs.
    let database = rusqlite::Connection::open(app.data().join("read.db")).unwrap();
    database.busy_timeout(crate::kit::LIMIT).unwrap();
    let changed = database.execute("UPDATE messages_v1 SET body = 'never said' WHERE seq = 2", []).unwrap();
    let removed = database.execute("DELETE FROM messages_v1 WHERE seq = 3", []).unwrap();
    let moved = database
        .execute("UPDATE unread_cursors_v1 SET read_seq = read_seq + 1 WHERE read_seq = 3", [])
        .unwrap();
    let added = database.execute(
        "INSERT INTO message_senders_v1 VALUES ('0198c2f4-6f0e-7a30-9d6b-0f3c8a1e5b11', 'Nobody')",
        [],
    );
    assert_eq!((changed, removed, moved, added.unwrap()), (1, 1, 1, 1));

    let found = app.cli(&["projections", "verify", "--all"]).await;
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(found.stdout.contains(" 4 differ"), "{found:?}");
    for word in ["message_history", "unread", "never said", "message 2", "Nobody"] {
        assert!(found.stdout.contains(word), "{word} is not in {found:?}");
    }
    let one = app.cli(&["projections", "verify", "message_history"]).await;
    assert!(one.status.code() == Some(1) && one.stdout.contains(" 3 differ"), "{one:?}");
    succeed(&app, &["projections", "verify", "rooms", "members"]).await;

    succeed(&app, &["projections", "rebuild", "message_history", "unread"]).await;
    succeed(&app, &["projections", "verify", "--all"]).await;
    assert_eq!(versions(&app, "message_history").await, (2, Some(1)));
    assert_eq!(versions(&app, "rooms").await, (1, None));
}

#[tokio::test]
async fn versions_go_forward_and_back() {
    let (mut app, api, _) = chat().await;
    let ada = api.user("Ada Lovelace").await;
    let room = ada.room("Versions").await;
    let refused = app.cli(&["projections", "rollback", "rooms"]).await;
    assert!(!refused.status.success() && refused.stderr.contains("rooms"), "{refused:?}");
    assert!(!app.cli(&["projections", "drop-old", "rooms"]).await.status.success());

    let rebuilt = succeed(&app, &["projections", "rebuild", "rooms"]).await;
    assert!(rebuilt.contains("rooms") && rebuilt.contains("events/s"), "{rebuilt}");
    assert_eq!(versions(&app, "rooms").await, (2, Some(1)));
    // The old version goes on with what has happened since.
    let said = ada.say(&room, "after the rebuild").ok(201).await;
    succeed(&app, &["projections", "rollback", "rooms"]).await;
    assert_eq!(versions(&app, "rooms").await, (1, Some(2)));
    let mine = ada.get("/me/rooms").seeing(&said).ok(200).await;
    assert_eq!(mine.items()[0]["last_message"], said.json);
    succeed(&app, &["projections", "verify", "--all"]).await;
    let said = ada.say(&room, "after the rollback").ok(201).await;
    assert_eq!(ada.get("/rooms").seeing(&said).ok(200).await.items()[0]["last_seq"], 2);

    succeed(&app, &["projections", "drop-old", "rooms"]).await;
    assert_eq!(versions(&app, "rooms").await, (1, None));
    assert!(!app.cli(&["projections", "rollback", "rooms"]).await.status.success());
    // A number is never used again, so nobody takes one version for another.
    succeed(&app, &["projections", "rebuild", "rooms"]).await;
    assert_eq!(versions(&app, "rooms").await, (3, Some(1)));
    let api = restart(&mut app).await;
    assert_eq!(versions(&app, "rooms").await, (3, Some(1)));
    assert_eq!(api.get("/rooms").by(&ada).ok(200).await.items()[0]["last_seq"], 2);
    // Without a service, too.
    app.stop().await;
    succeed(&app, &["projections", "rollback", "rooms"]).await;
    succeed(&app, &["projections", "rebuild", "--all"]).await;
    succeed(&app, &["projections", "verify", "--all"]).await;
}

#[tokio::test]
async fn an_unknown_projection_is_named() {
    let (app, _api, _) = chat().await;
    for command in ["rebuild", "verify", "rollback", "drop-old"] {
        let refused = app.cli(&["projections", command, "gossip"]).await;
        assert!(!refused.status.success() && refused.stderr.contains("gossip"), "{refused:?}");
    }
    let refused = app.cli(&["projections", "rebuild", "rooms", "gossip"]).await;
    assert!(!refused.status.success(), "{refused:?}");
    assert_eq!(versions(&app, "rooms").await, (1, None));
}
