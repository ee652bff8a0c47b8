//! Limits, headers for browsers, and what is served beside the API.

use super::{
    super::{HttpOptions, openapi_document},
    client::Client,
    ports::Admin,
    service,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn with(options: HttpOptions) -> Client {
    Client::start(options, Arc::new(Admin::default()))
}

#[tokio::test]
async fn more_than_the_cap_is_turned_away_but_for_health() {
    let client = with(HttpOptions { concurrent_max: 0, ..HttpOptions::default() });
    let body = json!({ "email": "a@b.c", "password": "b" });
    let answer = client.post("/auth/login", body).await;
    answer.assert_problem(503, "overloaded");
    assert_eq!(answer.header("Retry-After"), Some("1"));
    for path in ["/health/live", "/health/ready", "/metrics", "/"] {
        assert_eq!(client.send("GET", path).await.status, 200, "{path}");
    }
    client.send("GET", "/api/v1/nothing").await.assert_problem(404, "path_not_found");
}

#[tokio::test]
async fn a_request_does_not_take_for_ever() {
    let client = with(HttpOptions { time_limit: Duration::from_millis(20), ..HttpOptions::default() });
    // A body that never ends.
    let body =
        poem::Body::from_bytes_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = client.send("POST", "/api/v1/auth/login").body("application/json", body).await;
    answer.assert_problem(503, "too_slow");
}

#[tokio::test]
async fn routes_are_counted_by_their_template() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    let room = client.room(&token).await;
    client.probe.answered.lock().unwrap().clear();
    client.get(&format!("/rooms/{room}")).by(&token).await;
    client.get("/rooms/nonsense/messages").by(&token).await;
    client.send("DELETE", "/api/v1/rooms").await;
    client.send("BREW", "/coffee/1").await;
    client.send("GET", "/panic").await;
    assert_eq!(
        *client.probe.answered.lock().unwrap(),
        [
            ("GET", "/api/v1/rooms/{room_id}".to_owned(), 200),
            ("GET", "/api/v1/rooms/{room_id}/messages".to_owned(), 400),
            ("DELETE", "/api/v1/rooms".to_owned(), 405),
            ("OTHER", "unmatched".to_owned(), 404),
            ("GET", "unmatched".to_owned(), 500),
        ]
    );
}

#[tokio::test]
async fn browsers_are_told_what_not_to_do() {
    let client = service().await;
    for path in ["/", "/docs", "/api/v1/rooms", "/nothing", "/metrics"] {
        let answer = client.send("GET", path).await;
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("X-Frame-Options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"), "{path}");
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("script-src 'unsafe-inline'") && policy.contains("frame-ancestors 'none'"));
    }
    assert_eq!(client.send("GET", "/api/v1/rooms").await.header("Cache-Control"), Some("no-store"));
}

#[tokio::test]
async fn other_origins_are_shut_out_unless_listed() {
    let closed = service().await;
    let answer = closed.send("GET", "/health/live").header("Origin", "https://evil.example").await;
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, None));

    let allowed_origins = vec!["https://chat.example".to_owned()];
    let open = with(HttpOptions { allowed_origins, ..HttpOptions::default() });
    let preflight = |origin: &str| {
        let request = open.send("OPTIONS", "/api/v1/rooms").header("Origin", origin);
        request.header("Access-Control-Request-Method", "POST")
    };
    let good = preflight("https://chat.example").await;
    assert_eq!(
        (good.status, good.header("Access-Control-Allow-Origin")),
        (204, Some("https://chat.example"))
    );
    assert!(good.header("Access-Control-Allow-Headers").unwrap().contains("Idempotency-Key"));
    assert_eq!(good.header("Access-Control-Allow-Credentials"), None);
    for origin in ["https://evil.example", "https://chat.example.evil.example", "null"] {
        let bad = preflight(origin).await;
        assert_eq!((bad.status, bad.header("Access-Control-Allow-Origin")), (405, None), "{origin}");
        assert_eq!(bad.header("Vary"), Some("Origin"));
    }
    let simple = open.send("GET", "/nothing").header("Origin", "https://chat.example").await;
    assert_eq!(
        (simple.status, simple.header("Access-Control-Allow-Origin")),
        (404, Some("https://chat.example"))
    );
}

#[tokio::test]
async fn readiness_names_what_is_not_there() {
    let client = service().await;
    assert_eq!(client.send("GET", "/health/ready").await.status, 200);
    *client.probe.broken.lock().unwrap() = Some("no space left".to_owned());
    let answer = client.send("GET", "/health/ready").await;
    answer.assert_problem(503, "not_ready");
    assert_eq!(answer.json["errors"], json!([{ "field": "event log", "detail": "no space left" }]));
    assert_eq!(client.send("GET", "/health/live").await.status, 200);
}

#[tokio::test]
async fn the_pages_are_there() {
    let client = service().await;
    let metrics = client.send("GET", "/metrics").await;
    assert_eq!((metrics.status, metrics.text.as_str()), (200, "up 1\n"));
    assert_eq!(metrics.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let index = client.send("GET", "/").await;
    assert!(
        index.text.contains("Verbatim") && index.header("Content-Type").unwrap().starts_with("text/html")
    );
    let document = client.send("GET", "/openapi.json").await;
    assert_eq!(document.text, openapi_document());
    let head = client.send("HEAD", "/openapi.json").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn swagger_ui_loads_under_its_own_policy() {
    let client = service().await;
    let page = client.send("GET", "/docs").await;
    assert_eq!(page.status, 200);
    // Nothing inline: the policy would stop it.
    assert!(!page.text.contains("<script>") && !page.text.contains("<style"));
    for part in page.text.split('"').filter(|part| part.starts_with('/')) {
        let asset = client.send("GET", part).await;
        assert_eq!(asset.status, 200, "{part}");
        assert!(page.header("Content-Security-Policy").unwrap().contains("script-src 'self'"));
        assert!(!asset.text.is_empty() && !asset.text.trim_start().starts_with('<'), "{part}");
    }
    let script = client.send("GET", "/docs/swagger-ui.js").await.text;
    assert!(script.contains("SwaggerUIBundle") && script.len() > 100_000);
    let style = client.send("GET", "/docs/swagger-ui.css").await.text;
    assert!(style.contains(".swagger-ui") && style.len() > 50_000);
}
