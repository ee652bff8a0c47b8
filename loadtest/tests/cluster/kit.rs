//! People, and waiting for what must come.

use crate::common::binary;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use verbatim_loadtest::cluster::{Cluster, Node, Plan};
use verbatim_loadtest::http::{Api, Message};
use verbatim_loadtest::ids::{MemberId, RoomId};
use verbatim_loadtest::stomp::{Connection, Frame};

/// Whatever is waited for comes within this, or not at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Between two looks at something that gives no sign.
const POLL: Duration = Duration::from_millis(20);

pub(crate) async fn start(nodes: usize) -> Cluster {
    Cluster::start(&binary(), Plan::test(nodes)).await.unwrap()
}

pub(crate) fn api(node: &Node) -> Api {
    Api::new(&node.launch.base(), LIMIT).unwrap()
}

/// Looks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// An idempotency key made of a text.
pub(crate) fn key(text: &str) -> String {
    text.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: MemberId,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl Person {
    /// Registers and logs in at a node.
    pub(crate) async fn at(node: &Node) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let email = format!("person-{}@example.org", NEXT.fetch_add(1, Ordering::Relaxed));
        let id = api(node).register(&email, PASSWORD, "Somebody").await.unwrap().member_id;
        let login =
            call(node, Method::POST, "/auth/login", None, json!({"email": email, "password": PASSWORD}))
                .await;
        assert_eq!(login.status, StatusCode::OK, "{login:?}");
        let text = |name: &str| login.body[name].as_str().unwrap().to_owned();
        Self { id, email, token: text("access_token"), refresh_token: text("refresh_token") }
    }

    pub(crate) async fn opens_room(&self, node: &Node) -> RoomId {
        api(node).create_room(&self.token, "Cluster").await.unwrap().room_id
    }

    /// Sends once, and it must be taken.
    pub(crate) async fn sends(&self, node: &Node, room: RoomId, body: &str) -> Message {
        api(node).send(&self.token, room, &key(body), body).await.unwrap()
    }

    /// Sends until it is taken, with one key.
    pub(crate) async fn sends_at_last(&self, node: &Node, room: RoomId, body: &str) -> Message {
        let api = api(node);
        until("a send that is taken", LIMIT, async || {
            api.send(&self.token, room, &key(body), body).await.ok()
        })
        .await
    }

    /// Subscribes to a room over STOMP and waits until that is confirmed.
    pub(crate) async fn listens(&self, node: &Node, room: RoomId) -> Connection {
        let mut connection = Connection::open_as(&node.launch.ws(), &self.token, LIMIT).await.unwrap();
        subscribe(&mut connection, &format!("/topic/{room}")).await;
        connection
    }
}

pub(crate) async fn subscribe(connection: &mut Connection, destination: &str) {
    let frame = Frame::new("SUBSCRIBE").with("id", destination).with("destination", destination);
    connection.send(&frame.with("receipt", "subscribed")).await.unwrap();
    let answer = connection.next_within(LIMIT).await.unwrap();
    assert_eq!(answer.command, "RECEIPT", "{answer:?}");
}

/// The body of the next MESSAGE.
pub(crate) async fn next(connection: &mut Connection) -> Value {
    let frame = connection.next_within(LIMIT).await.unwrap();
    assert_eq!(frame.command, "MESSAGE", "{frame:?}");
    serde_json::from_slice(&frame.body).unwrap()
}

/// The body of the next MESSAGE that is a message of a room; comings and goings may come before it.
pub(crate) async fn next_message(connection: &mut Connection) -> Value {
    loop {
        let body = next(connection).await;
        if body["type"] == "message" {
            return body;
        }
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<u64>,
    pub(crate) position: Option<u64>,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

/// A bare REST call at a node; an answer of any status.
pub(crate) async fn call(
    node: &Node,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Value,
) -> Answer {
    ask(&node.launch.base(), method, path, token, body).await
}

pub(crate) async fn ask(base: &str, method: Method, path: &str, token: Option<&str>, body: Value) -> Answer {
    let began = Instant::now();
    let client = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    let mut request = client.request(method, format!("{base}/api/v1{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    let (retry_after, position) = (header("Retry-After"), header("Verbatim-Position"));
    let status = answer.status();
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, retry_after, position, body, took: began.elapsed() }
}

/// 503 with Retry-After and an explanation, soon.
pub(crate) fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.retry_after.is_some(), "{answer:?}");
    assert_eq!(answer.body["status"], 503, "{answer:?}");
    assert!(answer.took < Duration::from_secs(12), "{answer:?}");
}
