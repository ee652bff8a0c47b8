//! One trace from a request to the push that follows from it, in the log and in the events.

use crate::{
    common::{Handshake, Stomp, frame},
    kit::cli::succeed,
    logged::{Line, Logged, having, parsed},
};
use serde_json::{Value, json};
use verbatim_api::stomp::Command;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What the lines of a trace say, in the order in which they were written.
fn told(lines: &[Line], trace: &str) -> Vec<String> {
    let of_it = having(lines, "trace_id", trace);
    of_it.into_iter().map(|line| line["msg"].as_str().unwrap().to_owned()).collect()
}

fn sorted(texts: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn a_request_is_followed_to_its_push_by_trace_and_by_message() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut stomp = Stomp::open(&server.app.server, &Handshake::default()).await;
    stomp.connect("1.2", &ada.token).await;
    stomp.subscribe("s", &room.id, None).await;
    let sent =
        ada.say(&room, "hello").header("traceparent", PARENT).header("X-Request-Id", "mine").ok(201).await;
    stomp.message("message").await;
    drop(stomp);
    for name in ["traceparent", "traceresponse"] {
        let answered = sent.header(name).unwrap();
        assert!(answered.starts_with(&format!("00-{TRACE}-")) && !answered.contains("00f067aa0ba902b7"));
    }
    let step = sent.header("traceparent").unwrap().split('-').nth(2).unwrap().to_owned();
    let exported = succeed(&server.app, &["events", "export"]).await;
    let lines = parsed(&server.stop().await);

    let mut by_trace = told(&lines, TRACE);
    assert_eq!(by_trace.first().unwrap(), "appended", "before anybody hears of it");
    by_trace.sort();
    assert_eq!(by_trace, sorted(&["answered", "appended", "projected", "pushed"]));
    let by_message: Vec<Value> = having(&lines, "message_id", sent.str("message_id"))
        .iter()
        .map(|line| line["trace_id"].clone())
        .collect();
    assert_eq!(by_message, [TRACE; 4]);
    for line in having(&lines, "trace_id", TRACE) {
        assert_eq!((&line["seq"], &line["position"]), (&json!(1), &json!(sent.position())), "{line:?}");
        assert_eq!(line["room_id"], *room.id);
        // The request is the step that led to all else.
        let field = if line["msg"] == "answered" { "span_id" } else { "causation_id" };
        assert_eq!(line[field], *step, "{line:?}");
        if line["msg"] != "answered" {
            assert_eq!(line["correlation_id"], "mine", "{line:?}");
        }
    }
    for message in ["appended", "projected"] {
        let of_it: Vec<&Line> = having(&lines, "msg", message);
        assert!(of_it.iter().any(|line| line.get("correlation_id") == Some(&json!("mine"))), "{of_it:?}");
    }
    let stored: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let metadata = &stored.last().unwrap()["metadata"];
    assert_eq!(metadata["correlation_id"], "mine");
    assert_eq!(metadata["causation_id"], *step);
    assert_eq!(metadata["traceparent"], format!("00-{TRACE}-{step}-00"));
}

#[tokio::test]
async fn a_trace_context_that_is_not_valid_is_ignored() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let mut ids = Vec::new();
    for bad in [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "planted",
    ] {
        let answer = ada.get("/members/me").header("traceparent", bad).ok(200).await;
        ids.push(answer.header("traceparent").unwrap()[3..35].to_owned());
    }
    let twice = ada.get("/members/me").header("traceparent", PARENT).header("traceparent", SAMPLED);
    ids.push(twice.ok(200).await.header("traceparent").unwrap()[3..35].to_owned());
    let lines = parsed(&server.stop().await);
    for id in &ids {
        assert_eq!(told(&lines, id), ["answered"]);
    }
    assert!(told(&lines, TRACE).is_empty());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each begins a trace of its own");
}

#[tokio::test]
async fn a_frame_belongs_to_the_trace_that_it_names_or_else_its_handshake() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await.id;
    let handshake = Handshake { traceparent: Some(PARENT), ..Handshake::default() };
    let mut stomp = Stomp::open(&server.app.server, &handshake).await;
    stomp.connect("1.2", &ada.token).await;
    let destination = format!("/publish/{room}");
    let own = "00-aaaabbbbccccdddd1111222233334444-1234567890abcdef-01";
    for header in [None, Some(own), Some("bad")] {
        let mut headers = vec![("destination", destination.as_str())];
        headers.extend(header.map(|header| ("traceparent", header)));
        stomp.confirmed(Command::Send, &headers, r#"{"body":"hello"}"#).await;
    }
    let mut stranger = Stomp::open(&server.app.server, &Handshake::default()).await;
    stranger.connect("1.2", &ada.token).await;
    for _ in 0..2 {
        let send = [("destination", destination.as_str())];
        stranger.confirmed(Command::Send, &send, r#"{"body":"hello"}"#).await;
    }
    stranger.send(&frame(Command::Disconnect, &[], "")).await;
    stranger.closed().await;
    drop(stomp);
    let lines = parsed(&server.stop().await);
    let accepted: Vec<&Value> =
        having(&lines, "msg", "accepted").into_iter().map(|line| &line["trace_id"]).collect();
    let [first, second, third, fourth, fifth] = accepted.as_slice() else { panic!("{accepted:?}") };
    assert_eq!((*first, *third), (&json!(TRACE), &json!(TRACE)));
    assert_eq!(**second, "aaaabbbbccccdddd1111222233334444");
    // The handshake itself is a step of its trace, too.
    let opened: Vec<&Value> =
        having(&lines, "status", 101).into_iter().map(|line| &line["trace_id"]).collect();
    assert!(opened.len() == 2 && *opened[0] == TRACE && *opened[1] != TRACE, "{opened:?}");
    assert!(fourth != fifth && fourth != first, "each frame of a session without a trace begins one");
}

#[tokio::test]
async fn a_sampled_trace_has_its_lines_also_on_a_busy_day() {
    let server = Logged::start(&[]).await;
    let ada = server.api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut stomp = Stomp::open(&server.app.server, &Handshake::default()).await;
    stomp.connect("1.2", &ada.token).await;
    stomp.subscribe("s", &room.id, None).await;
    let destination = format!("/publish/{}", room.id);
    stomp.confirmed(Command::Begin, &[("transaction", "t")], "").await;
    for number in 0..50 {
        let headers = [("destination", destination.as_str()), ("transaction", "t")];
        stomp.send(&frame(Command::Send, &headers, &json!({ "body": number.to_string() }).to_string())).await;
    }
    // One append of fifty events, and so one batch of everything.
    stomp.confirmed(Command::Commit, &[("transaction", "t"), ("traceparent", SAMPLED)], "").await;
    for _ in 0..50 {
        stomp.message("message").await;
    }
    drop(stomp);
    let lines = parsed(&server.stop().await);
    for stage in ["appended", "projected", "pushed"] {
        let ranges: Vec<&Line> =
            having(&lines, "msg", stage).into_iter().filter(|line| line.contains_key("upto")).collect();
        let [range] = ranges.as_slice() else { panic!("{stage}: {ranges:?}") };
        let [from, to] = ["position", "upto"].map(|field| range[field].as_u64().unwrap());
        assert_eq!((to - from, &range["events"]), (49, &json!(50)));
        let own = having(&lines, "trace_id", TRACE).into_iter().filter(|line| line["msg"] == *stage).count();
        assert_eq!(own, 50, "{stage}");
    }
}
