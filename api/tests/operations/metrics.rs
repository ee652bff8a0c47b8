//! `/metrics`: the series there are, and that they count what happened.

use crate::{
    admin::operator,
    common::{Handshake, Stomp, frame, within},
    kit::{Api, raw, start},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use verbatim_api::stomp::Command;

/// All series with their values. Each must be described, and named as Prometheus wants it
/// (<https://prometheus.io/docs/practices/naming/>).
async fn series(api: &Api) -> BTreeMap<String, f64> {
    let page = api.page("/metrics").ok(200).await;
    assert!(page.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
    let (mut helped, mut kinds) = (BTreeSet::new(), BTreeMap::new());
    let mut all = BTreeMap::new();
    for line in page.text().lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let base = |suffix| name.strip_suffix(suffix).filter(|base| kinds.contains_key(*base));
            let base = ["_bucket", "_sum", "_count"].into_iter().find_map(base).unwrap_or(name);
            let kind = kinds.get(base).unwrap_or_else(|| panic!("{line} has no TYPE"));
            assert!(helped.contains(base), "{line} has no HELP");
            assert_eq!(kind == "counter", base.ends_with("_total"), "{line}");
            assert!(base.starts_with("verbatim_") || base.starts_with("process_"), "{line}");
            assert!(base.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            let old = all.insert(series.to_owned(), value.parse().unwrap());
            assert!(old.is_none(), "{series} is there twice");
        }
    }
    assert!(helped.len() > 30 && helped.len() == kinds.len());
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
        r#"verbatim_sessions_closed_total{kind="sse",reason="failed"}"#,
        r#"verbatim_stomp_frames_total{command="SEND",outcome="failed"}"#,
        r#"verbatim_http_requests_total{method="POST",path="/api/v1/rooms/{room_id}/messages",status="503"}"#,
        r#"verbatim_http_requests_total{method="GET",path="/ws",status="500"}"#,
        r#"verbatim_log_events_total{level="error"}"#,
        r#"verbatim_log_events_total{level="warn"}"#,
        "verbatim_log_lines_lost_total",
        "verbatim_broadcast_reconnects_total",
        "verbatim_broadcast_holes_total",
        "verbatim_broadcast_replayed_total",
        "verbatim_bus_wait_seconds_count",
        r#"verbatim_projection_lag_events{projection="read_models"}"#,
        r#"verbatim_projection_lag_seconds{projection="read_models"}"#,
        r#"verbatim_projection_rebuild_done_events{projection="message_history"}"#,
        r#"verbatim_projection_rebuild_target_events{projection="unread"}"#,
    ] {
        assert_eq!(all.get(name), Some(&0.0), "{name}");
    }
    for name in [
        "verbatim_broadcast_connected",
        r#"verbatim_projection_leading{projection="read_models"}"#,
        concat!(r#"verbatim_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#),
    ] {
        assert_eq!(all.get(name), Some(&1.0), "{name}");
    }
    let [used, idle] = ["used", "idle"]
        .map(|state| all[&format!(r#"verbatim_pool_connections{{pool="sqlite",state="{state}"}}"#)]);
    assert!(used + idle >= 1.0, "{used} used, {idle} idle");
    assert!(all["verbatim_data_free_bytes"] > 1e6);
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
        (r#"verbatim_projection_position{projection="read_models"}"#, head),
        (r#"verbatim_projection_lag_events{projection="read_models"}"#, 0.0),
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
        "verbatim_bus_wait_seconds_count",
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
        within("the begin of a stream", stream.chunk()).await.unwrap();
        stream
    };
    let streams = [open(room.at("/events")).await, open("/me/events".to_owned()).await];
    let all = series(&api).await;
    assert_eq!(all.get(r#"verbatim_sessions{kind="sse"}"#), Some(&2.0));
    assert_eq!((all["verbatim_rooms_listened"], all["verbatim_members_listening"]), (1.0, 1.0));
    ada.say(&room, "hello").ok(201).await;
    within("the deliveries", async { while series(&api).await["verbatim_deliveries_total"] < 1.0 {} }).await;
    drop(streams);
    within("the end of the sessions", async {
        while series(&api).await[r#"verbatim_sessions{kind="sse"}"#] > 0.0 {
            // A stream that is gone is noticed when something is written.
            ada.say(&room, "still there?").ok(201).await;
        }
    })
    .await;
}

#[tokio::test]
async fn frames_are_counted_by_command_and_outcome() {
    let (app, api) = start().await;
    let (ada, grace) = (api.user("Ada").await, api.user("Grace").await);
    let room = ada.room("Engines").await.id;
    let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
    stomp.connect("1.2", &ada.token).await;
    stomp.subscribe("s", &room, None).await;
    for _ in 0..3 {
        stomp.say(&room, "hello").await;
    }
    let mut stranger = Stomp::open(&app.server, &Handshake::default()).await;
    stranger.connect("1.2", &grace.token).await;
    let destination = format!("/publish/{room}");
    stranger.send(&frame(Command::Send, &[("destination", &destination)], r#"{"body":"x"}"#)).await;
    stranger.refused().await;
    let all = series(&api).await;
    for (command, outcome, count) in
        [("CONNECT", "ok", 2.0), ("SUBSCRIBE", "ok", 1.0), ("SEND", "ok", 3.0), ("SEND", "rejected", 1.0)]
    {
        let name = format!(r#"verbatim_stomp_frames_total{{command="{command}",outcome="{outcome}"}}"#);
        assert_eq!(all.get(&name), Some(&count), "{name}");
    }
    assert_eq!(all[r#"verbatim_stomp_frame_seconds_count{command="SEND"}"#], 4.0);
}

#[tokio::test]
async fn a_rebuild_shows_how_far_it_is() {
    let (app, api) = start().await;
    let admin = operator(&app, &api).await;
    let head = admin.room("Engines").await;
    let last = admin.say(&head, "hello").ok(201).await.position() as f64;
    admin.post("/admin/projections/message_history/rebuild", json!(null)).ok(202).await;
    let of =
        |what: &str| format!(r#"verbatim_projection_rebuild_{what}_events{{projection="message_history"}}"#);
    within("the end of the rebuild", async { while series(&api).await.get(&of("done")) != Some(&last) {} })
        .await;
    assert_eq!(series(&api).await[&of("target")], last);
}

#[tokio::test]
async fn no_client_can_add_series_without_end() {
    let (app, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let hostile = async |round: usize| {
        let odd = format!("odd{round}x");
        for path in ["/", "/api/v1/", "/api/v1/rooms/", "/docs/", "/api/v1/members/me/"] {
            api.page(&format!("{path}{odd}?{odd}={odd}")).by(&ada).send().await;
        }
        ada.say(&room, &odd).key(&odd).ok(201).await;
        ada.get(&format!("/rooms/{odd}")).send().await;
        ada.get("/rooms").header("X-Request-Id", &odd).header("traceparent", &odd).send().await;
        ada.put(&room.at("/read-cursor"), json!({ &odd: odd })).send().await;
        raw(&api.base, format!("{odd} / HTTP/1.1\r\nHost: {odd}\r\n{odd}: {odd}\r\n\r\n").as_bytes()).await;
        let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
        stomp.connect_with(&[("accept-version", "1.2"), ("passcode", &ada.token), ("host", &odd)]).await;
        stomp.send(&frame(Command::Subscribe, &[("id", &odd), ("destination", &odd)], "")).await;
        stomp.refused().await;
        let mut stomp = Stomp::open(&app.server, &Handshake::default()).await;
        stomp.send_text(&format!("{}\n\n\0", odd.to_uppercase())).await;
        stomp.refused().await;
    };
    hostile(0).await;
    // A scrape is a request, too.
    series(&api).await;
    let before: BTreeSet<String> = series(&api).await.into_keys().collect();
    for round in 1..5 {
        hostile(round).await;
    }
    let after: BTreeSet<String> = series(&api).await.into_keys().collect();
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(after.iter().all(|name| !name.to_lowercase().contains("odd")));
    assert!(after.len() < 3_000, "{}", after.len());
}
