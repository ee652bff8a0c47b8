//! What happens to the files when they are lost or damaged.

use crate::{
    common::App,
    kit::{Api, Room, User, cli::succeed, start},
};
use std::{fs, path::Path};

async fn chat() -> (App, Api, User, Room) {
    let (app, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    for number in 1..=30 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    (app, api, ada, room)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn lost_read_models_are_made_anew() {
    let (mut app, _api, ada, room) = chat().await;
    app.stop().await;
    for file in ["read.db", "read.db-wal", "read.db-shm"] {
        let _ = fs::remove_file(app.data().join(file));
    }
    app.start().await;
    let api = Api::new(&app.server.base());
    let sent =
        api.post(&room.at("/messages"), serde_json::json!({ "body": "message 31" })).by(&ada).ok(201).await;
    let history = api.get(&room.at("/messages?after=0")).by(&ada).seeing(&sent).ok(200).await;
    assert_eq!(
        history.column("body"),
        (1..=31).map(|number| format!("message {number}")).collect::<Vec<_>>()
    );
    // Sessions are not kept there.
    api.refresh(&ada.refresh).ok(200).await;
    succeed(&app, &["projections", "verify", "--all"]).await;
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_nothing_is_touched() {
    for damage in ["cut", "cut short", "overwritten", "another file", "empty"] {
        let (mut app, _api, _ada, _room) = chat().await;
        app.stop().await;
        let path = app.data().join("events.db");
        // All of it in one file, as a stop in order leaves it, or nearly.
        assert!(fs::metadata(app.data().join("events.db-wal")).map_or(0, |wal| wal.len()) == 0);
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            "cut" => bytes.truncate(bytes.len() / 2),
            "cut short" => bytes.truncate(50),
            "overwritten" => {
                let middle = bytes.len() / 2;
                bytes[4096..middle].fill(0xa5);
            }
            "another file" => bytes = b"not a database at all".repeat(1_000),
            _ => bytes.clear(),
        }
        fs::write(&path, &bytes).unwrap();
        let before = files(app.data());
        let refused = app.try_start().await.expect_err(damage);
        assert!(!refused.status.success(), "{damage}: {refused:?}");
        assert!(refused.stderr.contains("events.db"), "{damage}: {refused:?}");
        assert!(!refused.stderr.contains("panicked"), "{damage}: {refused:?}");
        for (name, bytes) in files(app.data()) {
            let was = before.iter().find(|file| file.0 == name);
            assert!(was.is_some_and(|was| was.1 == bytes), "{damage}: {name} was touched");
        }
    }
}

#[tokio::test]
async fn a_damaged_read_model_does_not_cost_the_log() {
    let (mut app, _api, ada, room) = chat().await;
    app.stop().await;
    let _ = fs::remove_file(app.data().join("read.db-wal"));
    let _ = fs::remove_file(app.data().join("read.db-shm"));
    fs::write(app.data().join("read.db"), b"no database at all, but long enough to be looked at".repeat(400))
        .unwrap();
    let log = fs::read(app.data().join("events.db")).unwrap();
    if let Err(refused) = app.try_start().await {
        assert!(refused.stderr.contains("read"), "{refused:?}");
        assert!(fs::read(app.data().join("events.db")).unwrap() == log, "the log was touched");
        // Whoever takes it away gets everything back.
        fs::remove_file(app.data().join("read.db")).unwrap();
        app.start().await;
    }
    let api = Api::new(&app.server.base());
    let sent = api.post(&room.at("/messages"), serde_json::json!({ "body": "x" })).by(&ada).ok(201).await;
    assert_eq!(sent["seq"], 31);
    assert_eq!(api.get(&room.at("/messages")).by(&ada).seeing(&sent).ok(200).await.items().len(), 31);
}

#[tokio::test]
async fn copies_of_the_folder_taken_in_the_middle_are_sound() {
    let (app, _api, ada, room) = chat().await;
    let copy = app.folder().join("copy");
    fs::create_dir(&copy).unwrap();
    // Nobody writes now, so this is what a snapshot of the file system would have.
    for file in [
        "read.db",
        "read.db-wal",
        "events.db",
        "events.db-wal",
        "jwt.secret",
        "sessions.db",
        "sessions.db-wal",
    ] {
        if app.data().join(file).exists() {
            fs::copy(app.data().join(file), copy.join(file)).unwrap();
        }
    }
    let mut restored = crate::common::Setup::default().data(&copy).stopped();
    restored.start().await;
    let api = Api::new(&restored.server.base());
    let sent = api.post(&room.at("/messages"), serde_json::json!({ "body": "x" })).by(&ada).ok(201).await;
    assert_eq!(sent["seq"], 31);
    let history = api.get(&room.at("/messages")).by(&ada).seeing(&sent).ok(200).await;
    assert_eq!(history.items().len(), 31);
    succeed(&restored, &["projections", "verify", "--all"]).await;
}
