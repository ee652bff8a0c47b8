//! Conversations from a file.

use crate::{
    common::{App, Output, Setup},
    kit::{
        Api,
        cli::{Running, succeed},
        start,
    },
};
use serde_json::{Value, json};
use std::path::PathBuf;

fn line(room: &str, sender: &str, body: &str, second: usize) -> String {
    let sent_at = format!("2018-05-02T19:38:{second:02}Z");
    json!({ "room": room, "sender": sender, "body": body, "sent_at": sent_at }).to_string()
}

fn file(app: &App, lines: &[String]) -> PathBuf {
    let path = app.folder().join("conversations.ndjson");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

async fn import(app: &App, lines: &[String]) -> Output {
    let path = file(app, lines);
    app.cli(&["import", path.to_str().unwrap()]).await
}

/// How many were imported, there already, refused.
fn tally(output: &Output) -> [u64; 3] {
    let last = output.stdout.lines().last().unwrap_or_default();
    let numbers: Vec<u64> = last.split([' ', ',', ';']).filter_map(|word| word.parse().ok()).collect();
    assert!(last.starts_with("imported ") && numbers.len() >= 3, "{output:?}");
    [numbers[0], numbers[1], numbers[2]]
}

fn conversations() -> Vec<String> {
    vec![
        line("plans", "ada", " Hello? ", 1),
        line("plans", "grace", "yes", 2),
        line("tea", "grace", "tea?", 2),
        // The same again is said again.
        line("plans", "ada", "a", 3),
        line("plans", "ada", "a", 3),
        line("plans", "ada", "a", 3),
        // What was blank stays blank: history is not corrected.
        line("tea", "mary", "", 4),
        line("plans", "grace", "👩‍👩‍👧 \u{202e} \\n \"quoted\"\r\nline", 5),
        // Times may stand still, or go back; the order of the file counts.
        line("tea", "grace", "earlier", 1),
    ]
}

/// All rooms with their messages as the SQL of analysts sees them: room, sender, seq, body, sent_at.
fn in_sql(app: &App) -> Vec<(String, String, i64, String, String)> {
    let read = rusqlite::Connection::open(app.data().join("read.db")).unwrap();
    let sql = "SELECT r.name, m.sender_name, m.seq, m.body, m.sent_at FROM message_history AS m
               JOIN rooms AS r ON r.room_id = m.room_id ORDER BY r.name, m.seq";
    let mut rows = read.prepare(sql).unwrap();
    let rows =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The same, as it should be after the import of these lines.
fn expected(lines: &[String]) -> Vec<(String, String, i64, String, String)> {
    let (mut all, mut counts) = (Vec::new(), std::collections::HashMap::new());
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        let seq = counts.entry(text("room")).or_insert(0_i64);
        *seq += 1;
        let sent_at = text("sent_at").replace('Z', ".000000Z");
        all.push((text("room"), text("sender"), *seq, text("body"), sent_at));
    }
    all.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
    all
}

#[track_caller]
fn has_all_of(app: &App, lines: &[String]) {
    let (found, expected) = (in_sql(app), expected(lines));
    let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert!(differs.is_none(), "{differs:?}");
    assert_eq!(found.len(), expected.len());
}

#[tokio::test]
async fn what_is_imported_twice_is_there_once() {
    let mut app = Setup::default().stopped();
    let lines = conversations();
    let first = import(&app, &lines).await;
    assert!(first.status.success(), "{first:?}");
    assert_eq!(tally(&first), [9, 0, 0]);
    // The read models have followed without a service.
    has_all_of(&app, &lines);
    let log = succeed(&app, &["events", "export"]).await;
    for _ in 0..2 {
        let again = import(&app, &lines).await;
        assert!(again.status.success(), "{again:?}");
        assert_eq!(tally(&again), [0, 9, 0]);
    }
    assert_eq!(succeed(&app, &["events", "export"]).await, log, "something was added");
    succeed(&app, &["projections", "verify", "--all"]).await;

    // A file that has grown brings what is new.
    let grown = [lines, vec![line("plans", "mary", "me too", 9), line("new", "ada", "hi", 9)]].concat();
    let more = import(&app, &grown).await;
    assert_eq!(tally(&more), [2, 9, 0]);
    has_all_of(&app, &grown);

    // People can go on where the file ends.
    app.start().await;
    let api = Api::new(&app.server.base());
    let eve = api.user("Eve").await;
    let rooms = eve.get("/rooms").ok(200).await;
    let plans = rooms.items().iter().find(|room| room["name"] == "plans").unwrap();
    assert_eq!((&plans["last_seq"], &plans["member_count"]), (&json!(7), &json!(3)));
    let room = crate::kit::Room { id: plans["room_id"].as_str().unwrap().to_owned() };
    eve.join(&room).ok(200).await;
    let said = eve.say(&room, "and me").ok(201).await;
    assert_eq!(said["seq"], 8);
    let history = eve.get(&room.at("/messages")).seeing(&said).ok(200).await;
    assert_eq!(history.column("sender_name"), ["ada", "grace", "ada", "ada", "ada", "grace", "mary", "Eve"]);
    assert_eq!(history.items()[0]["sent_at"], "2018-05-02T19:38:01.000000Z");
    // The authors are in the directory, and nobody can be one of them.
    assert_eq!(eve.get("/members?query=grace").ok(200).await.items().len(), 1);
}

#[tokio::test]
async fn malformed_lines_are_reported_by_number_and_the_others_imported() {
    let app = Setup::default().stopped();
    let long = "x".repeat(16 * 1024 + 1);
    let name = "n".repeat(101);
    let lines = vec![
        line("plans", "ada", "one", 1),
        "not JSON".to_owned(),
        String::new(),
        r#"{"room": "plans", "sender": "ada", "body": "no time"}"#.to_owned(),
        r#"{"room": "plans", "sender": "ada", "body": "x", "sent_at": "yesterday"}"#.to_owned(),
        r#"{"room": "plans", "sender": "ada", "body": 7, "sent_at": "2018-05-02T19:38:01Z"}"#.to_owned(),
        r#"{"room": "plans", "sender": "ada", "body": "x", "sent_at": "2018-05-02T19:38:01Z", "colour": 1}"#
            .to_owned(),
        line("plans", "ada", &long, 1),
        line("plans", "ada", "nul \0", 1),
        line(&name, "ada", "x", 1),
        line("plans", "", "x", 1),
        r#"{"room": "plans", "sender": "ada", "body": "\ud800", "sent_at": "2018-05-02T19:38:01Z"}"#
            .to_owned(),
        line("plans", "grace", "two", 2),
        "{".to_owned(),
    ];
    let output = import(&app, &lines).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(tally(&output), [2, 0, 11]);
    let mut named: Vec<u64> = output
        .stdout
        .lines()
        .filter_map(|text| text.strip_prefix("line ")?.split_once(": ")?.0.parse().ok())
        .collect();
    named.sort_unstable();
    assert_eq!(named, [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14], "{output:?}");
    has_all_of(&app, &[lines[0].clone(), lines[12].clone()]);
    let again = import(&app, &lines).await;
    assert_eq!(tally(&again), [0, 2, 11]);
    let nothing = app.cli(&["import", "there-is-no-such-file.ndjson"]).await;
    assert!(!nothing.status.success() && nothing.stderr.contains("there-is-no-such-file"), "{nothing:?}");
}

#[tokio::test]
async fn a_line_without_end_is_reported_and_the_others_imported() {
    let app = Setup::default().stopped();
    let lines = vec![line("a", "ada", "one", 1), "x".repeat(1 << 20), line("a", "ada", "two", 2)];
    let output = import(&app, &lines).await;
    assert_eq!((output.status.code(), tally(&output)), (Some(1), [2, 0, 1]), "{output:?}");
    assert!(output.stdout.contains("line 2: "), "{output:?}");
    has_all_of(&app, &[lines[0].clone(), lines[2].clone()]);
}

#[tokio::test]
async fn a_changed_line_is_a_conflict_and_no_second_message() {
    let app = Setup::default().stopped();
    let lines = conversations();
    assert!(import(&app, &lines).await.status.success());
    let mut changed = lines.clone();
    changed[1] = line("plans", "grace", "no", 2);
    let output = import(&app, &changed).await;
    assert_eq!((output.status.code(), tally(&output)), (Some(1), [0, 8, 1]), "{output:?}");
    assert!(output.stdout.contains("line 2: "), "{output:?}");
    has_all_of(&app, &lines);
}

#[tokio::test]
async fn an_import_beside_a_running_service_is_seen_there() {
    let (mut app, api) = start().await;
    let ada = api.user("Ada").await;
    let own = ada.room("Own").await;
    let lines: Vec<String> = (0..3_000)
        .map(|n| {
            line(&format!("room {}", n % 7), &format!("author {}", n % 11), &format!("said {n}"), n % 60)
        })
        .collect();
    let path = file(&app, &lines);
    // People go on chatting meanwhile.
    let chatting = {
        let (ada, own) = (ada.clone(), own.clone());
        tokio::spawn(async move {
            for number in 1..=100 {
                let sent = ada.say(&own, &format!("message {number}")).ok(201).await;
                assert_eq!(sent["seq"], number);
            }
        })
    };
    let output = app.cli(&["import", path.to_str().unwrap()]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(tally(&output), [3_000, 0, 0]);
    chatting.await.unwrap();

    // The service reads what another process wrote, and writes after it.
    let last = ada.say(&own, "done").ok(201).await;
    let rooms = ada.get("/rooms").seeing(&last).ok(200).await;
    let room = rooms.items().iter().find(|room| room["name"] == "room 3").unwrap();
    let room = crate::kit::Room { id: room["room_id"].as_str().unwrap().to_owned() };
    ada.join(&room).ok(200).await;
    let sent = ada.say(&room, "from here").ok(201).await;
    let said = (0..3_000).filter(|number| number % 7 == 3).count();
    assert_eq!(sent["seq"], said + 1);
    let history = ada.get(&room.at("/messages?limit=2")).seeing(&sent).ok(200).await;
    assert_eq!(history.column("sender_name").last(), Some(&json!("Ada")));
    // And again, now that rooms have gone on.
    let again = app.cli(&["import", path.to_str().unwrap()]).await;
    assert_eq!(tally(&again), [0, 3_000, 0]);
    succeed(&app, &["projections", "verify", "--all"]).await;
    succeed(&app, &["events", "verify"]).await;
    app.stop().await;
}

#[tokio::test]
async fn an_import_that_was_killed_is_finished_by_the_next() {
    let app = Setup::default().stopped();
    succeed(&app, &["migrate"]).await;
    let lines: Vec<String> = (0..20_000)
        .map(|n| line(&format!("room {}", n % 5), &format!("author {}", n % 3), &format!("said {n}"), n % 60))
        .collect();
    let path = file(&app, &lines);
    let mut tail = Running::start(&app, &["events", "tail", "-n", "0"]);
    let killed = Running::start(&app, &["import", path.to_str().unwrap()]);
    // Members and rooms come first; then it is in the middle of things.
    while !tail.line().await.contains("said 100\"") {}
    drop(killed);
    drop(tail);
    let rest = app.cli(&["import", path.to_str().unwrap()]).await;
    assert!(rest.status.success(), "{rest:?}");
    let [imported, repeated, refused] = tally(&rest);
    assert!(imported + repeated == 20_000 && repeated > 0 && refused == 0, "{rest:?}");
    has_all_of(&app, &lines);
    succeed(&app, &["projections", "verify", "--all"]).await;
    succeed(&app, &["events", "verify"]).await;
}

#[tokio::test]
async fn an_import_goes_on_when_the_service_beside_it_stops() {
    let (mut app, _api) = start().await;
    let lines: Vec<String> =
        (0..10_000).map(|n| line(&format!("room {}", n % 5), "ada", &format!("said {n}"), n % 60)).collect();
    let path = file(&app, &lines);
    let mut tail = Running::start(&app, &["events", "tail", "-n", "0"]);
    let mut importing = Running::start(&app, &["import", path.to_str().unwrap()]);
    while !tail.line().await.contains("said 100\"") {}
    app.stop().await;
    assert!(
        importing.line().await.starts_with("imported 10000 messages, 0 were there already, 0 lines refused")
    );
    importing.ended().await;
    has_all_of(&app, &lines);
    succeed(&app, &["projections", "verify", "--all"]).await;
}
