//! What goes wrong before any operation is reached has the same shape as what goes wrong in one.

use super::service;
use poem::Body;
use serde_json::json;

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let client = service().await;
    for path in ["/nothing", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/rooms", "/docs/", "//"] {
        client.send("GET", path).await.assert_problem(404, "path_not_found");
    }
    client.send("POST", "/api/v1/nothing").await.assert_problem(404, "path_not_found");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let client = service().await;
    for (method, path, allow) in [
        ("DELETE", "/api/v1/rooms", "GET, HEAD, POST"),
        ("PUT", "/api/v1/auth/login", "POST"),
        ("TRACE", "/api/v1/members/me", "GET, HEAD, PATCH"),
        ("OPTIONS", "/api/v1/direct-rooms/me", "PUT"),
        ("HEAD", "/api/v1/auth/login", "POST"),
        ("BREW", "/api/v1/rooms/x/messages/1", "DELETE, PATCH"),
        ("POST", "/health/live", "GET, HEAD"),
    ] {
        let answer = client.send(method, path).await;
        answer.assert_problem(405, "method_not_allowed");
        assert_eq!(answer.header("Allow"), Some(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_must_be_json() {
    let client = service().await;
    let post = || client.send("POST", "/api/v1/auth/login");
    post().await.assert_problem(415, "unsupported_media_type");
    post().body("text/plain", "{}").await.assert_problem(415, "unsupported_media_type");
    for (body, wrong) in [
        ("", "body"),
        ("{", "body"),
        ("[]", "body"),
        ("{\"email\": \"a\", \"password\": \"b\", \"role\": \"admin\"}", "role"),
        ("{\"email\": \"a\"}", "password"),
        ("{\"email\": 1, \"password\": \"b\"}", "email"),
    ] {
        let answer = post().body("application/json; charset=utf-8", body).await;
        answer.assert_problem(400, "invalid_request");
        assert_eq!(answer.wrong(), [wrong], "{body}");
    }
    let bytes = post().body("application/json", vec![b'"', 0xff, b'"']).await;
    bytes.assert_problem(400, "invalid_request");
    let deep = post().body("application/json", "[".repeat(60_000)).await;
    deep.assert_problem(400, "invalid_request");
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once_and_no_value_repeated() {
    let client = service().await;
    let body =
        json!({ "email": "hunter2 at home", "password": "short", "display_name": "\u{7}", "admin": true });
    let answer = client.post("/members", body).await;
    answer.assert_problem(400, "invalid_request");
    assert_eq!(answer.wrong(), ["email", "password", "display_name", "admin"]);
    assert!(!answer.text.contains("hunter2") && !answer.text.contains("\"short\""));
}

#[tokio::test]
async fn a_long_body_is_too_large_however_it_comes() {
    let client = service().await;
    let long = format!("{{\"email\": \"{}\"}}", "a".repeat(70_000));
    let post = || client.send("POST", "/api/v1/auth/login");
    post().body("application/json", long.clone()).await.assert_problem(413, "too_large");
    let announced = post().body("application/json", "{}").header("Content-Length", "70000").await;
    announced.assert_problem(413, "too_large");
    // Without a length, in pieces.
    let pieces =
        futures_util::stream::iter(long.into_bytes().chunks(1_000).map(<[u8]>::to_vec).collect::<Vec<_>>());
    let stream = futures_util::StreamExt::map(pieces, Ok::<_, std::io::Error>);
    let streamed = post().body("application/json", Body::from_bytes_stream(stream)).await;
    streamed.assert_problem(413, "too_large");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_clients_fault() {
    let client = service().await;
    let broken = futures_util::stream::iter([
        Ok(b"{\"email\": ".to_vec()),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]);
    let post = client.send("POST", "/api/v1/auth/login");
    let answer = post.body("application/json", Body::from_bytes_stream(broken)).await;
    answer.assert_problem(400, "invalid_request");
}

#[tokio::test]
async fn a_panic_fails_one_request() {
    let client = service().await;
    let answer = client.send("GET", "/panic").await;
    answer.assert_problem(500, "internal");
    // A request id, and nothing of what happened.
    assert!(!answer.text.contains("on purpose"));
    assert_eq!(client.send("GET", "/health/live").await.status, 200);
}

#[tokio::test]
async fn each_request_has_an_id() {
    let client = service().await;
    let given = client.send("GET", "/nothing").header("X-Request-Id", "from-nginx.1").await;
    assert_eq!(given.json["request_id"], "from-nginx.1");
    for bad in ["a b", "", &"x".repeat(65)] {
        let answer = client.send("GET", "/nothing").header("X-Request-Id", bad).await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "{bad}");
    }
    let first = client.send("GET", "/health/live").await;
    let second = client.send("GET", "/health/live").await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn the_request_id_is_kept_with_the_event() {
    let client = service().await;
    let body = json!({ "email": "a@b.c", "password": "a long one", "display_name": "Ada" });
    let opened = client.post("/members", body).header("X-Request-Id", "trace-me").await;
    let recorded = client.app.log.read(opened.position() - 1, 1).await.unwrap();
    assert!(recorded[0].metadata.contains("trace-me"), "{}", recorded[0].metadata);
}
