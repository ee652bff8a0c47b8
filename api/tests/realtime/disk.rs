//! A disk that is full or can't be written. Needs the right to mount; without it these tests say so and pass.

use crate::common::{App, Setup};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};
use tempfile::TempDir;

/// A small disk of its own.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Process::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        eprintln!("SKIPPED: this machine lets nobody mount a disk; nothing was tested");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn remount(&self, how: &str) -> bool {
        let options = format!("remount,{how}");
        let status = Process::new("mount").args(["-o", &options]).arg(self.path()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.path().join("ballast");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        for size in [65_536, 4_096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the server may be about to go.
        let _ = Process::new("umount").arg("-l").arg(self.path()).status();
    }
}

async fn app_on(disk: &Disk) -> App {
    Setup::default().data(&disk.path().join("data")).start().await
}

#[tokio::test]
async fn a_full_disk_stops_commands_and_nothing_else() {
    let Some(disk) = Disk::mount(24) else { return };
    let mut app = app_on(&disk).await;
    let (ada, ben) = (app.member("Ada").await, app.member("Ben").await);
    let room = ada.room_with(&[&ben]).await;
    ada.count(&room, 1, 5).await;
    let mut acknowledged: Vec<String> = (1..=5).map(|n| format!("message {n}")).collect();
    let mut listener = ben.stomp().await;
    listener.subscribe("s", &room, Some(5)).await;
    for round in 0..3 {
        let ballast = disk.fill();
        let mut refused = 0;
        // SQLite may still have a few free pages.
        for n in 0..3_000 {
            let text = format!("round {round}, {n}, {}", "x".repeat(2_000));
            let answer = ada.post(&format!("/rooms/{room}/messages"), &json!({ "body": text })).await;
            match answer.status {
                201 => acknowledged.push(text),
                503 => {
                    assert_eq!(answer["code"], "unavailable", "{}", answer.text);
                    assert!(answer.headers.contains_key("retry-after"));
                    refused += 1;
                }
                other => panic!("{other}: {}", answer.text),
            }
            if refused == 5 {
                break;
            }
        }
        assert_eq!(refused, 5, "round {round}: the disk never fills");
        // Other commands are refused alike; a SEND gets an ERROR with a reason.
        ada.post("/rooms", &json!({ "name": "no room for a room" })).await.problem(503, "unavailable");
        let mut stomp = ada.stomp().await;
        let destination = format!("/publish/{room}");
        let send = crate::common::frame(
            verbatim_api::stomp::Command::Send,
            &[("destination", &destination), ("receipt", "r")],
            r#"{"body":"no"}"#,
        );
        stomp.send(&send).await;
        let (error, _) = stomp.refused().await;
        assert_eq!(crate::common::code(&error), "unavailable");
        // Reading goes on, from what is projected.
        let url = format!("/api/v1/rooms/{room}/messages?after=0&limit=5");
        let read = app.server.request(reqwest::Method::GET, &url).bearer_auth(&ada.token);
        assert_eq!(app.server.call(read).await.items().len(), 5);
        app.server.get("/health/live").await.ok(200);
        // Room again: it goes on by itself, with the next number, and nothing half-written lies between.
        fs::remove_file(ballast).unwrap();
        let text = format!("round {round} is over");
        let seq = loop {
            let answer = ada.post(&format!("/rooms/{room}/messages"), &json!({ "body": text })).await;
            if answer.status == 201 {
                break answer["seq"].as_u64().unwrap();
            }
            assert_eq!(answer.status, 503, "{}", answer.text);
        };
        acknowledged.push(text);
        assert_eq!(seq, acknowledged.len() as u64);
    }
    // The read model catches up, too: every read that waits for it comes back.
    let history = crate::common::within("the read model", async {
        loop {
            if ada.get(&format!("/rooms/{room}/messages")).await.status == 200 {
                return ada.whole_history(&room).await;
            }
        }
    })
    .await;
    let kept: Vec<&str> = history.iter().map(|message| message["body"].as_str().unwrap()).collect();
    assert_eq!(kept, acknowledged);
    for seq in 6..=acknowledged.len() {
        assert_eq!(listener.message("message").await["seq"], seq);
    }
    app.stop().await;
    let verified = app.cli(&["projections", "verify", "--all"]).await;
    assert!(verified.status.success(), "{}{}", verified.stdout, verified.stderr);
    app.start().await;
    assert_eq!(ada.whole_history(&room).await, history);
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_is_refused_at_the_start() {
    let Some(disk) = Disk::mount(24) else { return };
    let mut app = app_on(&disk).await;
    let ada = app.member("Ada").await;
    let room = ada.room("a room").await;
    ada.count(&room, 1, 3).await;
    app.stop().await;
    assert!(disk.remount("ro"), "nobody has it open");
    let Err(output) = app.try_start().await else {
        // Starting read-only would be fine too: then commands are refused and reads are not.
        ada.post("/rooms", &json!({ "name": "x" })).await.problem(503, "unavailable");
        assert_eq!(ada.whole_history(&room).await.len(), 3);
        return;
    };
    assert!(!output.status.success());
    assert!(output.stderr.to_lowercase().contains("read-only"), "{}", output.stderr);
    assert!(disk.remount("rw"));
    app.start().await;
    assert_eq!(ada.whole_history(&room).await.len(), 3);
    assert_eq!(ada.say(&room, "4").await["seq"], 4);
}
