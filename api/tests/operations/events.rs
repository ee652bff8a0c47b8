//! The log as the command line shows it.

use crate::kit::{
    cli::{Running, succeed},
    start,
};
use serde_json::Value;

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn the_log_is_exported_by_position_and_without_secrets() {
    let (mut app, api) = start().await;
    let ada = api.user_as("Ada", "ada@example.org", "planted password 1").await;
    let room = ada.room("Engines").await;
    ada.say(&room, "one").key("key-1").ok(201).await;
    ada.say(&room, "two").ok(201).await;
    let body =
        serde_json::json!({ "current_password": "planted password 1", "new_password": "planted password 2" });
    let last = ada.patch("/members/me", body).ok(200).await.position();

    // While the service runs, and with the same result after it has stopped.
    let running = succeed(&app, &["events", "export", "--format", "ndjson"]).await;
    app.stop().await;
    let text = succeed(&app, &["events", "export"]).await;
    assert_eq!(text, running);
    let events = lines(&text);
    let positions: Vec<u64> = events.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=last).collect::<Vec<u64>>(), "positions have gaps");
    for event in &events {
        for field in ["recorded_at", "aggregate_type", "aggregate_id", "event_type", "event_version"] {
            assert!(event[field].is_string(), "{event}");
        }
        assert!(
            event["sequence"].is_u64() && event["payload"].is_object() && event["metadata"].is_object(),
            "{event}"
        );
    }
    let kinds: Vec<&str> = events.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    for kind in ["MemberRegistered", "EmailClaimed", "GroupRoomCreated", "MessageSent", "PasswordChanged"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert_eq!(kinds.iter().filter(|kind| **kind == "MessageSent").count(), 2);
    let keyed: Vec<&str> = events.iter().filter_map(|event| event["idempotency_key"].as_str()).collect();
    assert!(keyed.len() == 1 && keyed[0].ends_with("key-1"), "{keyed:?}");

    assert!(!text.contains("planted password") && !text.contains("argon2"), "a secret is in the export");
    let backup = succeed(&app, &["events", "export", "--with-secrets"]).await;
    assert_eq!(backup.matches("$argon2id$").count(), 2, "a backup needs the hashes");
    assert!(!backup.contains("planted password"), "a password is in the log");
    let rest = succeed(&app, &["events", "export", "--after", &(last - 2).to_string()]).await;
    assert_eq!(lines(&rest), events[events.len() - 2..]);
    assert_eq!(succeed(&app, &["events", "export", "--after", &last.to_string()]).await, "");

    let report = succeed(&app, &["events", "verify"]).await;
    assert!(report.contains(&last.to_string()), "{report}");
}

#[tokio::test]
async fn the_end_of_the_log_is_shown_and_followed() {
    let (app, api) = start().await;
    let ada = api.user_as("Ada", "ada@example.org", "planted password").await;
    let room = ada.room("Engines").await;
    for number in 1..=5 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    let bodies = |text: &str| {
        lines(text)
            .into_iter()
            .map(|event| event["payload"]["MessageSent"]["body"].clone())
            .collect::<Vec<_>>()
    };
    let shown = succeed(&app, &["events", "tail", "-n", "2", "--no-follow"]).await;
    assert_eq!(bodies(&shown), ["message 4", "message 5"], "{shown}");
    let all = succeed(&app, &["events", "tail", "-n", "1000", "--no-follow"]).await;
    assert!(!all.contains("argon2"), "a secret is shown");

    let mut tail = Running::start(&app, &["events", "tail", "-n", "1"]);
    assert_eq!(bodies(&tail.line().await), ["message 5"]);
    for number in 6..=8 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
        assert_eq!(bodies(&tail.line().await), [format!("message {number}")]);
    }
}

#[tokio::test]
async fn an_unsound_log_is_found_and_nothing_is_touched() {
    let (mut app, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    for number in 1..=20 {
        ada.say(&room, &format!("message {number}")).ok(201).await;
    }
    app.stop().await;
    let path = app.data().join("events.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let mut named = database.prepare(sql).unwrap();
    let triggers: Vec<String> = named.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(named);
    // The file does not let go of an event by itself.
    assert!(database.execute("DELETE FROM events WHERE position = 10", []).is_err());
    assert!(database.execute("UPDATE events SET payload = '{}' WHERE position = 10", []).is_err());
    for trigger in triggers {
        database.execute(&format!("DROP TRIGGER {trigger}"), []).unwrap();
    }
    let removed = database.execute("DELETE FROM events WHERE position = 10", []).unwrap();
    assert_eq!(removed, 1);
    // Without its write-ahead log, the file is all there is.
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    let found = app.cli(&["events", "verify"]).await;
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(found.stderr.contains("10"), "{found:?}");
    assert!(std::fs::read(&path).unwrap() == before, "the log was touched");
}
