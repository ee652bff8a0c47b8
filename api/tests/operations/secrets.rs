//! What no log line may ever hold: texts, addresses, passwords, tokens, keys of any kind. All are planted in one run.

use crate::{
    common::{Handshake, Stomp, frame},
    kit::raw,
    logged::{Logged, parsed},
};
use serde_json::{Value, json};
use verbatim_api::stomp::Command;

async fn session(server: &Logged) -> Vec<(&'static str, String)> {
    let api = &server.api;
    let password = "planted-password-7f3a";
    let new_password = "planted-new-password-7f3a";
    let email = "planted.address.7f3a@example.org";
    let mut user = api.user_as("planted-name-7f3a", email, password).await;
    let room = user.room("planted-room-7f3a").await;
    let body = "planted-body-7f3a";
    user.say(&room, body).key("planted-key-7f3a").ok(201).await;
    user.say(&room, body).key("planted-key-7f3a").ok(201).await;
    user.patch(&room.at("/messages/1"), json!({ "body": "planted-body-7f3a, edited" })).ok(200).await;
    user.get("/members?query=planted-query-7f3a").ok(200).await;
    let mut secrets = vec![
        ("access token", user.token.clone()),
        ("refresh token", user.refresh.clone()),
        ("signature", user.token.rsplit('.').next().unwrap().to_owned()),
    ];
    let ticket = user.post("/auth/ticket", json!({})).ok(201).await.str("ticket").to_owned();
    secrets.push(("ticket", ticket.clone()));
    let unused = user.post("/auth/ticket", json!({})).ok(201).await.str("ticket").to_owned();
    secrets.push(("unused ticket", unused));
    drop(reqwest::get(format!("{}/api/v1/me/events?ticket={ticket}", api.base)).await.unwrap());
    api.get(&format!("/me/events?ticket={ticket}")).problem(401, "invalid_ticket").await;

    // What goes wrong is logged, too.
    api.log_in(email, "planted-guess-7f3a").problem(401, "wrong_credentials").await;
    api.get(&format!("/members/me?access_token={}", user.token)).problem(401, "missing_token").await;
    api.get("/members/me").bearer("planted-bad-token-7f3a").problem(401, "invalid_token").await;
    let odd =
        json!({ "email": "planted-no-address-7f3a", "password": "x7f3a", "display_name": "\0planted-7f3a" });
    api.post("/members", odd).problem(400, "invalid_request").await;
    api.post("/members", json!({ "email": email, "password": password, "display_name": "x" }))
        .problem(409, "email_taken")
        .await;
    user.say(&room, "planted-nul-7f3a \0").problem(400, "invalid_request").await;
    let json = r#"{"body": "planted-broken-7f3a"#;
    user.post(&room.at("/messages"), Value::Null).body("application/json", json).send().await;
    api.page("/planted-path-7f3a").problem(404, "path_not_found").await;
    let head = "GET /planted-raw-7f3a HTTP/1.1\r\nHost: x\r\nplanted header 7f3a: x\r\n\r\n";
    raw(&api.base, head.as_bytes()).await;

    let change = json!({ "current_password": "planted-wrong-7f3a", "new_password": new_password });
    user.patch("/members/me", change).problem(403, "wrong_password").await;
    let change = json!({ "current_password": password, "new_password": new_password });
    user.patch("/members/me", change).ok(200).await;
    let pair = api.refresh(&user.refresh).ok(200).await;
    api.refresh(&user.refresh).problem(401, "invalid_refresh_token").await;
    secrets.push(("second access token", pair.str("access_token").to_owned()));
    secrets.push(("second refresh token", pair.str("refresh_token").to_owned()));
    let pair = api.log_in(email, new_password).ok(200).await;
    user.token = pair.str("access_token").to_owned();
    secrets.push(("third refresh token", pair.str("refresh_token").to_owned()));
    api.post("/auth/logout", json!({ "refresh_token": pair.str("refresh_token") })).ok(204).await;
    frames(server, &user.token, &room.id).await;
    secrets.push(("planted text", "7f3a".to_owned()));
    secrets
}

/// What goes over a WebSocket, well and badly.
async fn frames(server: &Logged, token: &str, room: &str) {
    let query = format!("access_token={token}&ticket=planted-ticket-7f3a");
    assert!(Stomp::try_open(&server.app.server, &Handshake { query, ..Handshake::default() }).await.is_err());
    let open = async || Stomp::open(&server.app.server, &Handshake::default()).await;
    let send = format!("/publish/{room}");
    let mut good = open().await;
    good.connect("1.2", token).await;
    good.subscribe("planted-subscription-7f3a", room, None).await;
    let headers = [("destination", send.as_str()), ("idempotency-key", "planted-frame-key-7f3a")];
    let body = json!({ "body": "planted-frame-body-7f3a" }).to_string();
    good.confirmed(Command::Send, &headers, &body).await;
    good.send(&frame(Command::Send, &[("destination", &send)], r#"{"planted-field-7f3a": 1}"#)).await;
    good.refused().await;
    for bad in [
        "CONNECT\naccept-version:1.2\npasscode:planted-passcode-7f3a\nlogin:planted-login-7f3a\n\n\0",
        "CONNECT\naccept-version:1.2\nAuthorization:Bearer planted-bearer-7f3a\n\n\0",
        "CONNECT\nplanted header 7f3a\n\n\0",
        "PLANTED-COMMAND-7F3A\n\n\0",
    ] {
        let mut stomp = open().await;
        stomp.send_text(bad).await;
        stomp.refused().await;
    }
    for (command, destination) in
        [(Command::Subscribe, "/planted-topic-7f3a"), (Command::Send, "/planted-target-7f3a")]
    {
        let mut stomp = open().await;
        stomp.connect("1.2", token).await;
        let headers = [("id", "planted-id-7f3a"), ("destination", destination)];
        stomp.send(&frame(command, &headers, "")).await;
        stomp.refused().await;
    }
}

const SECRET: &str = "planted-jwt-secret-7f3a, which is 32 bytes or more";

async fn no_secret_is_logged(filter: Option<&str>) {
    let mut settings = vec![("VERBATIM_JWT_SECRET", SECRET)];
    settings.extend(filter.map(|filter| ("VERBATIM_LOG", filter)));
    let server = Logged::start(&settings).await;
    let secrets = session(&server).await;
    let lines = server.stop().await;
    assert!(lines.len() > 40, "{lines:?}");
    parsed(&lines);
    for line in &lines {
        for (what, secret) in &secrets {
            assert!(
                !line.to_lowercase().contains(secret.to_lowercase().as_str()),
                "{what} with the filter {filter:?} in: {line}"
            );
        }
        assert!(!line.contains("$argon2"), "a password hash with the filter {filter:?} in: {line}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_as_it_runs_by_default() {
    no_secret_is_logged(None).await;
}

#[tokio::test]
async fn no_secret_is_logged_when_everything_of_ours_is() {
    let filter = "warn,verbatim=trace,verbatim_api=trace,verbatim_application=trace,verbatim_domain=trace,\
                  verbatim_infrastructure=trace,verbatim_projections=trace,verbatim_migrations=trace";
    no_secret_is_logged(Some(filter)).await;
}

#[tokio::test]
async fn no_secret_is_logged_when_libraries_are_debugged() {
    no_secret_is_logged(Some("debug")).await;
}
