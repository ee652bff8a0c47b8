//! `/metrics`: the series there are, and that they count what happened.

use crate::kit::{Api, start};
use std::collections::BTreeMap;

/// All series with their values.
async fn series(api: &Api) -> BTreeMap<String, f64> {
    let page = api.page("/metrics").ok(200).await;
    assert!(page.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
    let mut described = 0;
    let mut all = BTreeMap::new();
    for line in page.text().lines() {
        if line.starts_with('#') {
            described += usize::from(line.starts_with("# HELP "));
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(all.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} is there twice");
    }
    assert!(described > 10);
    all
}

#[tokio::test]
async fn what_can_fail_is_there_from_the_start() {
    let (_app, api) = start().await;
    let all = series(&api).await;
    for name in [
        "verbatim_events_appended_total",
        "verbatim_bus_overloaded_total",
        "verbatim_bus_conflicts_total",
        "verbatim_projection_failures_total",
        "verbatim_deliveries_total",
        "verbatim_holes_filled_total",
        "verbatim_rooms_listened",
        "verbatim_members_listening",
        r#"verbatim_commands_total{command="send_message",outcome="failed"}"#,
        r#"verbatim_sessions_closed_total{kind="stomp",reason="slow_client"}"#,
        r#"verbatim_sessions_closed_total{kind="sse",reason="slow_client"}"#,
    ] {
        assert_eq!(all.get(name), Some(&0.0), "{name}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds"] {
        assert!(all[name] > 0.0, "{name}");
    }
    assert!(all.contains_key("process_cpu_seconds_total"));
}

#[tokio::test]
async fn what_happened_is_counted() {
    let (_app, api) = start().await;
    let ada = api.user("Ada").await;
    let grace = api.user("Grace").await;
    let room = ada.room("Engines").await;
    for number in 0..7 {
        ada.say(&room, "hello").key(&format!("k{number}")).ok(201).await;
    }
    ada.say(&room, "hello").key("k0").ok(201).await;
    grace.say(&room, "let me in").problem(403, "not_a_member").await;
    api.get("/rooms").problem(401, "missing_token").await;
    api.page("/nothing/here").problem(404, "path_not_found").await;
    let last = ada.delete(&room.at("/messages/1")).ok(204).await;
    ada.get("/me/rooms").seeing(&last).ok(200).await;
    let all = series(&api).await;
    let head = last.position() as f64;
    for (name, expected) in [
        (r#"verbatim_commands_total{command="send_message",outcome="ok"}"#, 7.0),
        (r#"verbatim_commands_total{command="send_message",outcome="repeated"}"#, 1.0),
        (r#"verbatim_commands_total{command="send_message",outcome="rejected"}"#, 1.0),
        (r#"verbatim_commands_total{command="create_group",outcome="ok"}"#, 1.0),
        (r#"verbatim_commands_total{command="delete_message",outcome="ok"}"#, 1.0),
        (r#"verbatim_command_seconds_count{command="send_message"}"#, 9.0),
        ("verbatim_events_appended_total", head),
        (r#"verbatim_projection_position{projection="all"}"#, head),
        (r#"verbatim_projection_lag_events{projection="all"}"#, 0.0),
        (
            r#"verbatim_http_requests_total{method="POST",path="/api/v1/rooms/{room_id}/messages",status="201"}"#,
            8.0,
        ),
        (
            r#"verbatim_http_requests_total{method="POST",path="/api/v1/rooms/{room_id}/messages",status="403"}"#,
            1.0,
        ),
        (r#"verbatim_http_requests_total{method="GET",path="/api/v1/rooms",status="401"}"#, 1.0),
        (r#"verbatim_http_requests_total{method="GET",path="unmatched",status="404"}"#, 1.0),
        (
            r#"verbatim_http_request_seconds_count{method="POST",path="/api/v1/rooms/{room_id}/messages"}"#,
            9.0,
        ),
    ] {
        assert_eq!(all.get(name), Some(&expected), "{name}");
    }
    for name in [
        "verbatim_batch_commands_count",
        "verbatim_append_seconds_count",
        "verbatim_projection_batch_events_sum",
    ] {
        assert!(all[name] > 0.0, "{name}");
    }
    // No series is named after a thing, or scrapers would drown.
    assert!(!all.keys().any(|name| name.contains(&room.id) || name.contains("here")));
}

#[tokio::test]
async fn open_streams_are_counted() {
    let (_app, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let url = |path: &str| format!("{}/api/v1{path}", api.base);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let open = async |path: String| {
        let mut stream = client.get(url(&path)).bearer_auth(&ada.token).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        // Something has come: it has begun.
        crate::common::within("the begin of a stream", stream.chunk()).await.unwrap();
        stream
    };
    let streams = [open(room.at("/events")).await, open("/me/events".to_owned()).await];
    let all = series(&api).await;
    assert_eq!(all.get(r#"verbatim_sessions{kind="sse"}"#), Some(&2.0));
    assert_eq!((all["verbatim_rooms_listened"], all["verbatim_members_listening"]), (1.0, 1.0));
    ada.say(&room, "hello").ok(201).await;
    crate::common::within("the deliveries", async {
        while series(&api).await["verbatim_deliveries_total"] < 1.0 {}
    })
    .await;
    drop(streams);
    crate::common::within("the end of the sessions", async {
        while series(&api).await[r#"verbatim_sessions{kind="sse"}"#] > 0.0 {
            // A stream that is gone is noticed when something is written.
            ada.say(&room, "still there?").ok(201).await;
        }
    })
    .await;
}
