//! Logs: one line for each request and each frame, of the level that its outcome asks for.

use crate::{
    common::{Handshake, Stomp, frame},
    kit::Api,
    logged::{Line, Logged, having, only, parsed},
};
use serde_json::{Value, json};
use std::{fs, path::Path};
use verbatim_api::stomp::Command;

#[tokio::test]
async fn each_request_has_one_line_that_says_who_asked_what_and_where() {
    let server = Logged::start(&[]).await;
    let api = server.api.clone();
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut own = Vec::new();
    for (call, path, by_ada) in [
        (ada.say(&room, "hello"), Some("/api/v1/rooms/{room_id}/messages"), true),
        (api.get("/rooms"), Some("/api/v1/rooms"), false),
        (ada.get("/nothing"), None, false),
        (ada.say(&room, ""), Some("/api/v1/rooms/{room_id}/messages"), true),
        (ada.delete(&room.at("/messages/1")), Some("/api/v1/rooms/{room_id}/messages/{seq}"), true),
        (api.page("/metrics"), Some("/metrics"), false),
    ] {
        let answer = call.send().await;
        own.push((answer.header("X-Request-Id").unwrap().to_owned(), answer.status, path, by_ada));
    }
    let sent = ada.get("/rooms").header("X-Request-Id", "mine-1").ok(200).await;
    own.push(("mine-1".to_owned(), sent.status, Some("/api/v1/rooms"), true));
    let lines = parsed(&server.stop().await);
    for line in &lines {
        assert_eq!((&line["name"], &line["hostname"]), (&json!("verbatim"), &json!("node-7")));
        // Refusals are business as usual: nothing has failed here.
        assert_eq!(line["level"], 30, "{line:?}");
    }
    for (id, status, path, by_ada) in own {
        let line = only(&lines, "request_id", id);
        assert_eq!(line["status"], status, "{line:?}");
        assert_eq!(line["msg"], if status < 400 { "answered" } else { "refused" });
        assert_eq!(line.contains_key("code"), status >= 400, "{line:?}");
        assert!(line["latency_us"].as_u64().is_some_and(|latency| latency > 0), "{line:?}");
        assert!(line["method"].is_string() && line["trace_id"].is_string(), "{line:?}");
        // A path that is none of ours may hold anything, and is not told.
        assert_eq!(line["path"], path.unwrap_or("unmatched"));
        assert_eq!(line.get("member_id"), by_ada.then(|| json!(ada.id)).as_ref());
        let in_room = line["path"].as_str().unwrap().contains("{room_id}");
        assert_eq!(line.get("room_id"), in_room.then(|| json!(room.id)).as_ref());
    }
    let said = only(&having_all(&lines, &[("method", "POST"), ("msg", "answered")]), "seq", 1).clone();
    assert!(said["message_id"].is_string() && said["position"].as_u64().is_some_and(|p| p > 0), "{said:?}");
    // Requests apart, only the start and the end are told.
    let others = lines.iter().filter(|line| !line.contains_key("trace_id")).count();
    assert!((2..20).contains(&others), "{others}");
}

fn having_all(lines: &[Line], fields: &[(&str, &str)]) -> Vec<Line> {
    let fits = |line: &&Line| fields.iter().all(|(field, value)| line.get(*field) == Some(&json!(value)));
    lines.iter().filter(fits).cloned().collect()
}

async fn connected(server: &Logged, token: &str) -> (Stomp, String) {
    let mut stomp = Stomp::open(&server.app.server, &Handshake::default()).await;
    let connected = stomp.connect("1.2", token).await;
    let session = connected.header("session").unwrap().to_owned();
    (stomp, session)
}

#[tokio::test]
async fn each_frame_has_one_line_and_a_message_is_found_by_its_id() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let grace = server.api.user("Grace").await;
    let room = ada.room("Engines").await.id;
    let (mut stomp, session) = connected(&server, &ada.token).await;
    stomp.subscribe("s", &room, None).await;
    let said = stomp.say(&room, "hello").await;
    let read = format!("/publish/{room}/read");
    stomp.confirmed(Command::Send, &[("destination", &read)], r#"{"seq":1}"#).await;
    stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
    let destination = format!("/publish/{room}");
    for body in ["one", "two"] {
        let headers = [("destination", destination.as_str()), ("transaction", "t")];
        stomp.send(&frame(Command::Send, &headers, &json!({ "body": body }).to_string())).await;
    }
    stomp.confirmed(Command::Commit, &[("transaction", "t")], "").await;
    stomp.confirmed(Command::Disconnect, &[], "").await;
    stomp.closed().await;
    let (mut stranger, strange) = connected(&server, &grace.token).await;
    stranger.send(&frame(Command::Send, &[("destination", &destination)], r#"{"body":"x"}"#)).await;
    stranger.refused().await;
    let (mut broken, rude) = connected(&server, &grace.token).await;
    broken.send_text("NONSENSE\n\n\0").await;
    broken.refused().await;
    let lines = parsed(&server.stop().await);
    assert!(having(&lines, "level", 50).is_empty() && having(&lines, "level", 40).is_empty());

    let told = |session: &str| -> Vec<(String, String)> {
        let text =
            |line: &Line, field: &str| line.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
        let of_it = having(&lines, "request_id", session);
        of_it.into_iter().map(|line| (text(line, "stomp_command"), text(line, "msg"))).collect()
    };
    let expected = [
        ("CONNECT", "answered"),
        ("SUBSCRIBE", "answered"),
        ("SEND", "answered"),
        ("COMMIT", "accepted"),
        ("COMMIT", "accepted"),
        ("COMMIT", "answered"),
        ("DISCONNECT", "answered"),
        ("", "session ended"),
    ];
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(command, text)| ((*command).to_owned(), (*text).to_owned())).collect()
    };
    // Those of single messages are made later than the others.
    let (later, at_once): (Vec<_>, Vec<_>) =
        told(&session).into_iter().partition(|(command, text)| command == "SEND" && text == "accepted");
    assert_eq!((later, at_once), (owned(&[("SEND", "accepted")]), owned(&expected)));
    let end = [("CONNECT", "answered"), ("SEND", "refused"), ("", "session ended")];
    assert_eq!(told(&strange), owned(&end));
    assert_eq!(told(&rude), owned(&[("CONNECT", "answered"), ("", "refused"), ("", "session ended")]));

    let message =
        having_all(&lines, &[("message_id", said.header("message-id").unwrap()), ("msg", "accepted")]);
    let [line] = message.as_slice() else { panic!("{message:?}") };
    for (field, value) in [
        ("member_id", json!(ada.id)),
        ("room_id", json!(room)),
        ("seq", json!(1)),
        ("hostname", json!("node-7")),
    ] {
        assert_eq!(line[field], value, "{line:?}");
    }
    assert!(line["position"].is_u64() && line["latency_us"].is_u64() && line["span_id"].is_string());
}

/// Holds the event log so that nobody else can write.
fn held(data: &Path) -> rusqlite::Connection {
    let log = rusqlite::Connection::open(data.join("events.db")).unwrap();
    log.execute_batch("BEGIN IMMEDIATE").unwrap();
    log
}

#[tokio::test]
async fn a_failure_of_ours_is_one_error_for_each_who_was_refused_for_it() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await;
    let (mut stomp, session) = connected(&server, &ada.token).await;
    let log = held(server.app.data());
    let body = json!({ "body": "hello" }).to_string();
    stomp.send(&frame(Command::Send, &[("destination", &format!("/publish/{}", room.id))], &body)).await;
    let answer = ada.say(&room, "hello").problem(503, "unavailable").await;
    stomp.refused().await;
    drop(log);
    let well = ada.say(&room, "hello").ok(201).await;
    let view = rusqlite::Connection::open(server.app.data().join("read.db")).unwrap();
    view.execute_batch("DROP VIEW message_history").unwrap();
    let unread = ada.get(&room.at("/messages")).send().await;
    let lines = parsed(&server.stop().await);
    let errors = having(&lines, "level", 50);
    assert_eq!(errors.len(), 3, "{errors:?}");
    for (id, field) in [
        (answer.header("X-Request-Id").unwrap(), "status"),
        (session.as_str(), "stomp_command"),
        (unread.header("X-Request-Id").unwrap(), "status"),
    ] {
        let of_it: Vec<&&Line> = errors.iter().filter(|line| line["request_id"] == *id).collect();
        assert_eq!(of_it.len(), 1, "{errors:?}");
        assert!(of_it[0]["error"].as_str().is_some_and(|error| !error.is_empty()), "{of_it:?}");
        assert!(of_it[0].contains_key(field) && of_it[0].contains_key("latency_us"), "{of_it:?}");
    }
    assert_eq!(only(&lines, "request_id", well.header("X-Request-Id").unwrap())["level"], 30);
    // The outage itself is told once when it begins and once when it ends, however many it has cost.
    only(&lines, "msg", "the event log takes no events; trying again with each command");
    only(&lines, "msg", "the event log takes events again");
}

#[tokio::test]
async fn a_stream_has_a_line_when_it_ends_and_an_error_if_something_of_ours_has_failed() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await;
    ada.say(&room, "hello").ok(201).await;
    // The first listener of a room reads its newest message, and would be refused.
    let (mut first, _) = connected(&server, &ada.token).await;
    first.subscribe("s", &room.id, None).await;
    let view = rusqlite::Connection::open(server.app.data().join("read.db")).unwrap();
    view.execute_batch("DROP VIEW message_history").unwrap();
    // It has begun when history can't be read, so its status says nothing of that.
    let stream = ada.get(&room.at("/events?after=0")).ok(200).await;
    drop(first);
    let lines = parsed(&server.stop().await);
    let of_it = having(&lines, "request_id", stream.header("X-Request-Id").unwrap());
    let told: Vec<(&Value, &Value)> = of_it.iter().map(|line| (&line["msg"], &line["level"])).collect();
    let expected = [("answered", 30), ("a stream can't be resumed", 50), ("session ended", 30)];
    assert_eq!(told.len(), 3, "{of_it:?}");
    for ((msg, level), (wanted, at)) in told.into_iter().zip(expected) {
        assert_eq!((msg, level), (&json!(wanted), &json!(at)), "{of_it:?}");
    }
    assert!(
        of_it[1]["error"].as_str().unwrap().contains("message_history"),
        "with its causes: {:?}",
        of_it[1]
    );
    assert_eq!(of_it[2]["code"], "failed");
    assert!(
        of_it.iter().all(|line| line["member_id"] == *ada.id && line["room_id"] == *room.id),
        "{of_it:?}"
    );
}

#[tokio::test]
async fn a_log_file_holds_what_standard_output_does_and_rolls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verbatim.log");
    let file = path.to_str().unwrap();
    let settings = [("VERBATIM_LOG_FILE", file), ("VERBATIM_LOG_FILE_MIB", "1"), ("VERBATIM_LOG_FILES", "2")];
    let server = Logged::start(&settings).await;
    let ada = server.api.user("Ada").await;
    // Some 400 bytes a line: more than a MiB, and less than two.
    for _ in 0..32 {
        futures_util::future::join_all((0..100).map(|_| ada.get("/members/me").ok(200))).await;
    }
    let mut printed = server.stop().await;
    let mut kept = Vec::new();
    for file in [folder.path().join("verbatim.log.1"), path.clone()] {
        assert!((1..=1024 * 1024).contains(&fs::metadata(&file).unwrap().len()));
        kept.extend(fs::read_to_string(file).unwrap().lines().map(ToOwned::to_owned));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    parsed(&kept);
    // Lines of the same moment may stand in another order.
    kept.sort();
    printed.sort();
    assert!(kept.len() > 3_200 && kept == printed, "{} lines and {}", kept.len(), printed.len());
}

#[tokio::test]
async fn nothing_is_logged_when_nothing_is_asked_for() {
    let server = Logged::start(&[("VERBATIM_LOG", "off")]).await;
    let _ = server.api.user("Ada").await;
    let printed = server.stop().await;
    // The line that says that it is ready, for people.
    assert!(printed.len() == 1 && printed[0].starts_with("Verbatim is ready: http://"), "{printed:?}");
}

#[tokio::test]
async fn a_node_is_called_after_its_machine_unless_told_otherwise() {
    let (app, api) = crate::kit::start().await;
    let _: Api = api;
    let ready = app.log();
    let line = ready.lines().find(|line| line.contains("Verbatim is ready")).unwrap().to_owned();
    let line = &parsed(&[line])[0];
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(line["hostname"], name.trim());
}
