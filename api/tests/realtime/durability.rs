//! What must survive: a kill at any moment, a lost read model; and a log that is damaged is left alone.

use crate::common::{App, Member, spawn_app};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// The files of the event log, its WAL included.
fn log_files(app: &App) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = files(app.data());
    all.retain(|path, _| path.file_name().unwrap().to_str().unwrap().starts_with("events.db"));
    assert!(!all.is_empty());
    all
}

async fn exported(app: &App) -> String {
    let output = app.cli(&["events", "export", "--format", "ndjson"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout
}

/// A receipt means durable: a kill right after it loses nothing.
#[tokio::test]
async fn what_has_a_receipt_survives_a_kill() {
    let mut app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    let mut said = Vec::new();
    for round in 0..4 {
        let mut stomp = ada.stomp().await;
        for n in 0..=round {
            let text = format!("round {round}, {n}");
            let receipt = stomp.say(&room, &text).await;
            said.push((receipt.header("message-id").unwrap().to_owned(), text));
            assert_eq!(receipt.header("seq"), Some(&*said.len().to_string()));
        }
        app.kill_9().await;
        app.start().await;
        // The token is still good, what was said is there, and it goes on with the next number.
        let history = ada.whole_history(&room).await;
        let kept: Vec<(String, String)> = history
            .iter()
            .map(|m| (m["message_id"].as_str().unwrap().to_owned(), m["body"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(kept, said);
        assert!(history.iter().map(|m| m["seq"].as_u64().unwrap()).eq(1..=said.len() as u64));
        let mine = &ben.my_rooms().await[0];
        assert_eq!(mine["unread"].as_u64(), Some(said.len() as u64));
    }
    let verified = app.cli(&["projections", "verify", "--all"]).await;
    assert!(verified.status.success(), "{}{}", verified.stdout, verified.stderr);
}

/// All that REST shows of a small world.
async fn world(app: &App, members: &[&Member], room: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for member in members {
        all.extend(member.my_rooms().await);
        all.extend(member.whole_history(room).await);
        all.extend(member.get(&format!("/rooms/{room}/members")).await.items());
        all.extend(member.get("/members?query=").await.items());
        all.extend(member.get("/rooms").await.items());
    }
    assert!(app.server.position() > 0);
    all
}

#[tokio::test]
async fn a_lost_read_model_is_built_again() {
    let mut app = spawn_app().await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    ada.count(&room, 1, 20).await;
    ben.read(&room, 12).await;
    assert!(ada.delete(&format!("/rooms/{room}/messages/15")).await.status < 300);
    ada.patch(&format!("/rooms/{room}/messages/16"), &serde_json::json!({ "body": "edited" })).await.ok(200);
    let before = world(&app, &[&ada, &ben], &room).await;
    app.stop().await;
    let log = exported(&app).await;
    for path in files(app.data()).keys() {
        if path.file_name().unwrap().to_str().unwrap().starts_with("read.db") {
            fs::remove_file(path).unwrap();
        }
    }
    app.start().await;
    assert_eq!(world(&app, &[&ada, &ben], &room).await, before);
    assert_eq!(exported(&app).await, log, "the log is untouched");
    assert_eq!(ada.say(&room, "and on").await["seq"], 21);
    let mut stomp = ben.stomp().await;
    stomp.subscribe("s", &room, Some(20)).await;
    assert_eq!(stomp.message("message").await["body"], "and on");
}

/// Does something to the log of a stopped service, and checks that a start refuses and touches nothing.
async fn refuses(app: &mut App, what: &str, harm: impl FnOnce(&Path)) {
    let sound = files(app.data());
    let path = app.data().join("events.db");
    harm(&path);
    let harmed = log_files(app);
    let Err(output) = app.try_start().await else { panic!("{what}: it starts") };
    assert!(!output.status.success(), "{what}");
    let words = output.stderr.to_lowercase();
    assert!(words.contains("events.db"), "{what}: which file? {words}");
    assert!(!words.contains("panicked"), "{what}: {words}");
    assert_eq!(log_files(app), harmed, "{what}: the file was touched");
    // With the right bytes back, everything is there again.
    for (path, bytes) in sound {
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_left_alone() {
    let mut app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 50).await;
    app.stop().await;
    let size = fs::metadata(app.data().join("events.db")).unwrap().len();
    let cut = |length: u64| {
        move |path: &Path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap()
    };
    let garble = |from: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            let end = (from + 4_096).min(bytes.len());
            bytes[from..end].fill(0xa5);
            fs::write(path, bytes).unwrap();
        }
    };
    refuses(&mut app, "cut to nothing", cut(0)).await;
    refuses(&mut app, "cut in its first page", cut(1_000)).await;
    refuses(&mut app, "cut in the middle", cut(size / 2)).await;
    refuses(&mut app, "without its last page", cut(size - 4_096)).await;
    refuses(&mut app, "with a wild first page", garble(0)).await;
    refuses(&mut app, "with a wild page", garble(8_192)).await;
    refuses(&mut app, "text instead", |path| fs::write(path, "not a database").unwrap()).await;
    app.start().await;
    assert_eq!(ada.whole_history(&room).await.len(), 50);
}

/// After a kill, what was committed last is in the WAL only: that must not go unnoticed either.
#[tokio::test]
async fn a_log_whose_wal_lost_its_end_is_refused() {
    let mut app = spawn_app().await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 30).await;
    app.kill_9().await;
    let wal = app.data().join("events.db-wal");
    let size = fs::metadata(&wal).map_or(0, |metadata| metadata.len());
    assert!(size > 0, "a killed service leaves its WAL");
    refuses(&mut app, "WAL cut", |_| {
        fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(size / 2).unwrap();
    })
    .await;
    app.start().await;
    assert_eq!(ada.whole_history(&room).await.len(), 30);
}

#[tokio::test]
async fn two_services_do_not_share_a_folder() {
    let app = spawn_app().await;
    let ada = app.member("Ada").await;
    let mut second = crate::common::Setup::default().data(app.data()).stopped();
    let Err(output) = second.try_start().await else { panic!("a second service runs on the same data") };
    assert!(!output.status.success());
    ada.room("the first goes on").await;
}
