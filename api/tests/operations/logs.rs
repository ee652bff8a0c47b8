//! Logs: bunyan JSON, a request id in every line of a request, and never a secret.

use crate::{
    common::{Setup, within},
    kit::{Api, cli::binary, raw},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{fs::File, path::Path};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
};

/// A server whose whole log goes to a file.
struct Logged {
    child: Child,
    folder: crate::common::App,
    api: Api,
}

impl Logged {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = Setup::default().stopped();
        let arguments = ["serve", "--listen", "127.0.0.1:0"];
        let mut command = binary(Path::new(env!("CARGO_BIN_EXE_verbatim")), folder.folder(), &arguments);
        let log = File::create(folder.folder().join("log")).unwrap();
        command.envs(settings.iter().copied()).stdout(std::process::Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = within("the line that says it is ready", printed.next_line()).await.unwrap().unwrap();
        let url = ready.split(['/', ' ']).find(|part| part.starts_with("127.0.0.1:")).unwrap();
        let api = Api::new(&format!("http://{url}"));
        Self { child, folder, api }
    }

    /// Stops it; gives all that it has logged.
    async fn stop(mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = within("the end of the server", self.child.wait()).await.unwrap();
        let log = std::fs::read_to_string(self.folder.folder().join("log")).unwrap();
        assert!(status.success(), "{status}\n{log}");
        log
    }
}

#[tokio::test]
async fn lines_are_bunyan_and_each_of_a_request_has_its_id() {
    let server = Logged::start(&[]).await;
    let api = server.api.clone();
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let mut own = Vec::new();
    for call in [
        ada.say(&room, "hello"),
        api.get("/rooms"),
        ada.get("/nothing"),
        ada.say(&room, ""),
        api.page("/metrics"),
    ] {
        let answer = call.send().await;
        own.push((answer.header("X-Request-Id").unwrap().to_owned(), answer.status));
    }
    let sent = ada.get("/rooms").header("X-Request-Id", "mine-1").ok(200).await;
    own.push(("mine-1".to_owned(), sent.status));
    let log = server.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        // The fields that bunyan asks of every line.
        for (field, is) in [
            ("v", line["v"] == 0),
            ("name", line["name"] == "verbatim"),
            ("hostname", line["hostname"].is_string()),
            ("pid", line["pid"].is_u64()),
            ("level", line["level"].is_u64()),
            ("time", line["time"].as_str().is_some_and(|time| time.ends_with('Z'))),
            ("msg", line["msg"].is_string()),
        ] {
            assert!(is, "{field} in {line}");
        }
        // Refusals are business as usual: nothing has failed here.
        assert!(line["level"] == 30, "{line}");
    }
    for (id, status) in own {
        let of_it: Vec<&Value> = lines.iter().filter(|line| line["request_id"] == *id).collect();
        assert!(of_it.len() == 1 || status >= 400 && !of_it.is_empty(), "{status}: {of_it:?}");
        assert!(of_it.iter().any(|line| line["status"] == status), "{status}: {of_it:?}");
        // The route's template; a path that is none of ours may hold anything, and is not told.
        let routed = |line: &Value| line["path"].is_string() != (status == 404);
        assert!(of_it.iter().all(|line| routed(line) && line["method"].is_string()), "{of_it:?}");
    }
    let by_ada = lines.iter().filter(|line| line["member_id"] == *ada.id).count();
    assert!(by_ada >= 4, "who asked is not in the log");
    // Requests apart, only the start and the end are told.
    let others = lines.iter().filter(|line| line["request_id"].is_null()).count();
    assert!((2..20).contains(&others), "{others}");
}

async fn session(api: &Api) -> Vec<(&'static str, String)> {
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
    user.leave(&room).ok(204).await;
    secrets.push(("planted text", "7f3a".to_owned()));
    secrets
}

const SECRET: &str = "planted-jwt-secret-7f3a, which is 32 bytes or more";

async fn no_secret_is_logged(filter: Option<&str>) {
    let mut settings = vec![("VERBATIM_JWT_SECRET", SECRET)];
    settings.extend(filter.map(|filter| ("VERBATIM_LOG", filter)));
    let server = Logged::start(&settings).await;
    let secrets = session(&server.api).await;
    let log = server.stop().await;
    assert!(log.lines().count() > 20, "{log}");
    for line in log.lines() {
        for (what, secret) in &secrets {
            assert!(!line.contains(secret.as_str()), "{what} with the filter {filter:?} in: {line}");
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
