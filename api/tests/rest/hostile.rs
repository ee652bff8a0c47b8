//! What no well-meaning client sends.

use crate::kit::{Room, User, raw, start};
use reqwest::Method;
use serde_json::json;

/// As in INTERFACE: larger than any body that a command needs.
const BODY_MAX: usize = 64 * 1024;

async fn setting() -> (crate::common::App, crate::kit::Api, User, Room) {
    let (server, api) = start().await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    (server, api, ada, room)
}

fn send(user: &User, room: &Room, content_type: &str, body: impl Into<reqwest::Body>) -> crate::kit::Call {
    user.call(Method::POST, &room.at("/messages")).body(content_type, body)
}

const JSON: &str = "application/json";

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let (_server, _api, ada, room) = setting().await;
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let deep_field = format!(r#"{{"body": {}1{}}}"#, r#"{"a":"#.repeat(9_000), "}".repeat(9_000));
    let bodies: [&[u8]; 18] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\"body\"",
        b"{\"body\": \"x\"} trailing",
        b"{\"body\": \"x\",}",
        b"{'body': 'x'}",
        b"\xef\xbb\xbf{\"body\": \"x\"}",
        b"{\"body\": \"\xff\xfe\"}",
        b"{\"body\": \"\xed\xa0\x80\"}",
        // Lone surrogates are no text; half a pair is not either.
        br#"{"body": "\ud800"}"#,
        br#"{"body": "\udc00 x"}"#,
        br#"{"body": "\ud800\ud800"}"#,
        b"{\"body\": \"raw\x00nul\"}",
        b"{\"body\": \"raw\nline\"}",
        deep.as_bytes(),
        deep_field.as_bytes(),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let refused = send(&ada, &room, JSON, body.to_vec()).problem(400, "invalid_request").await;
        assert_eq!(refused.wrong_fields(), ["body"], "{start}");
    }
    // What is well-formed but wrong names the field.
    for body in [r#"{"body": "\u0000"}"#, r#"{"body": "x", "sender_id": "0198c2f4"}"#, r#"{"Body": "x"}"#] {
        let refused = send(&ada, &room, JSON, body).problem(400, "invalid_request").await;
        assert!(!refused.wrong_fields().is_empty(), "{body}");
    }
    // A whole pair is text.
    let sent = send(&ada, &room, JSON, r#"{"body": "\ud83d\ude00"}"#).ok(201).await;
    assert_eq!((&sent["body"], &sent["seq"]), (&json!("😀"), &json!(1)));
}

#[tokio::test]
async fn a_field_given_twice_has_one_meaning() {
    let (_server, _api, ada, room) = setting().await;
    let answer = send(&ada, &room, JSON, r#"{"body": "first", "body": "second"}"#).send().await;
    // RFC 8259 leaves it open; either is fine, as long as what is answered is what is kept.
    if answer.status == 201 {
        let history = ada.get(&room.at("/messages")).seeing(&answer).ok(200).await;
        assert_eq!(history.column("body"), [answer["body"].clone()]);
    } else {
        answer.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_body_is_declared_as_json() {
    let (_server, api, ada, room) = setting().await;
    let body = r#"{"body": "x"}"#;
    let wrong = [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "x",
    ];
    for content_type in wrong {
        send(&ada, &room, content_type, body).problem(415, "unsupported_media_type").await;
    }
    for content_type in [JSON, "Application/JSON; charset=utf-8", "application/vnd.verbatim+json"] {
        send(&ada, &room, content_type, body).ok(201).await;
    }
    for path in ["/members", "/auth/login", "/auth/refresh", "/auth/logout"] {
        api.call(Method::POST, path).body("text/plain", "{}").problem(415, "unsupported_media_type").await;
    }
}

#[tokio::test]
async fn a_body_is_bounded() {
    let (_server, api, ada, room) = setting().await;
    let padded = |length: usize| {
        let core = r#"{"body": "x"}"#;
        format!("{core}{}", " ".repeat(length - core.len()))
    };
    send(&ada, &room, JSON, padded(BODY_MAX)).ok(201).await;
    send(&ada, &room, JSON, padded(BODY_MAX + 1)).problem(413, "too_large").await;
    // Without a length told first.
    let chunks = |count: usize| {
        let chunk = |_| Ok::<_, std::io::Error>(vec![b' '; 1024]);
        reqwest::Body::wrap_stream(futures_util::stream::iter((0..count).map(chunk)))
    };
    send(&ada, &room, JSON, chunks(80)).problem(413, "too_large").await;
    // A length that is a lie, or a hostile one, costs nothing but the connection; and needs no account.
    let head = |length: &str| {
        format!(
            "POST /api/v1/members HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let answer = raw(&api.base, head("9999999999999").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    for bad in ["-1", "x", "99999999999999999999999999", "1, 2"] {
        let answer = raw(&api.base, head(bad).as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{bad}: {answer}");
    }
    ada.get("/members/me").ok(200).await;
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let (_server, api, ada, room) = setting().await;
    for path in [
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api",
        "/nothing",
        "/api/v2/rooms",
        "/admin",
        "/.env",
        "/rooms",
        "/api/v1/rooms/",
        "/API/V1/ROOMS",
        "/health",
        "/docs/../etc/passwd",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "//",
        "/%00",
        "/%ff",
    ] {
        api.page(path).by(&ada).problem(404, "path_not_found").await;
    }
    for bad in [
        "x",
        "0198c2f4",
        "0198c2f48a1d7c52b1aa4b7e2d90c3f2",
        "%7B0198c2f4-8a1d-7c52-b1aa-4b7e2d90c3f2%7D",
        "..",
        "%00",
        "'%20OR%201=1",
        "%F0%9F%98%80",
        "null",
    ] {
        for path in
            [format!("/rooms/{bad}"), format!("/rooms/{bad}/messages"), format!("/rooms/{bad}/members")]
        {
            // `..` is taken away by the client itself.
            if bad == ".." {
                continue;
            }
            let refused = ada.get(&path).problem(400, "invalid_request").await;
            assert_eq!(refused.wrong_fields(), ["room_id"], "{path}");
        }
    }
    // Upper case is the same id (RFC 9562, section 4).
    let upper = Room { id: room.id.to_uppercase() };
    assert_eq!(ada.get(&upper.at("")).ok(200).await["room_id"], room.id);
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_those_it_has() {
    let (_server, api, ada, room) = setting().await;
    for (path, allowed) in [
        ("/api/v1/members".to_owned(), "GET, HEAD, POST"),
        ("/api/v1/members/me".to_owned(), "GET, HEAD, PATCH"),
        ("/api/v1/auth/login".to_owned(), "POST"),
        ("/api/v1/rooms".to_owned(), "GET, HEAD, POST"),
        (format!("/api/v1{}", room.at("")), "GET, HEAD"),
        (format!("/api/v1{}", room.at("/members")), "GET, HEAD, POST"),
        (format!("/api/v1{}", room.at("/members/me")), "DELETE"),
        (format!("/api/v1{}", room.at("/messages")), "GET, HEAD, POST"),
        (format!("/api/v1{}", room.at("/messages/1")), "DELETE, PATCH"),
        (format!("/api/v1{}", room.at("/read-cursor")), "PUT"),
        (format!("/api/v1/direct-rooms/{}", ada.id), "PUT"),
        ("/api/v1/me/rooms".to_owned(), "GET, HEAD"),
        ("/".to_owned(), "GET, HEAD"),
        ("/metrics".to_owned(), "GET, HEAD"),
        ("/openapi.json".to_owned(), "GET, HEAD"),
    ] {
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"];
        for method in methods.into_iter().filter(|method| !allowed.split(", ").any(|one| one == *method)) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let refused = api.at(method, &path).by(&ada).problem(405, "method_not_allowed").await;
            assert_eq!(refused.header("Allow"), Some(allowed), "{path}");
        }
        if allowed.contains("HEAD") {
            let head = api.at(Method::HEAD, &path).by(&ada).ok(200).await;
            assert!(head.bytes.is_empty());
        }
    }
}

#[tokio::test]
async fn malformed_http_costs_a_connection_and_no_more() {
    let (_server, api, ada, _room) = setting().await;
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(5_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20));
    for request in [
        "\r\n\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        "POST /api/v1/rooms HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/v1/rooms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
        &long_header,
        &many,
        &long_path,
    ] {
        let answer = raw(&api.base, request.as_bytes()).await;
        let status: u16 = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(400);
        assert!((400..500).contains(&status), "{:?}: {answer}", &request[..request.len().min(80)]);
        ada.get("/members/me").ok(200).await;
    }
}

#[tokio::test]
async fn a_request_id_is_taken_from_the_client_if_it_is_harmless() {
    let (_server, api, ada, _room) = setting().await;
    let ours = ada.get("/rooms").header("X-Request-Id", "my.request-1_A").ok(200).await;
    assert_eq!(ours.header("X-Request-Id"), Some("my.request-1_A"));
    let problem = api.get("/rooms").header("X-Request-Id", "mine").problem(401, "missing_token").await;
    assert_eq!(problem["request_id"], "mine");
    let long = "x".repeat(65);
    for bad in ["", "a b", "<script>", "\"}", &long] {
        let answer = ada.get("/rooms").header("X-Request-Id", bad).ok(200).await;
        assert_ne!(answer.header("X-Request-Id"), Some(bad));
    }
}
