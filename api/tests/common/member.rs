//! Somebody who is logged in.

use super::{Answer, Handshake, Server, SseStream, Stomp};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// The password of everybody in tests.
const PASSWORD: &str = "correct horse battery staple";

/// A member with an access token.
#[derive(Debug, Clone)]
pub struct Member {
    /// The server.
    pub server: Server,
    /// Who.
    pub id: String,
    /// What they are called.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: String,
    /// Their access token.
    pub token: String,
    /// Their refresh token.
    pub refresh_token: String,
}

impl Member {
    /// Registers and logs in.
    pub async fn new(server: &Server, name: &str) -> Self {
        let email = format!("member{}@example.org", server.unique());
        let body = json!({ "email": email, "password": PASSWORD, "display_name": name });
        let account = server.post("/api/v1/members", &body).await.ok(201);
        let mut member = Self {
            server: server.clone(),
            id: account["member_id"].as_str().unwrap().to_owned(),
            name: name.to_owned(),
            email,
            password: PASSWORD.to_owned(),
            token: String::new(),
            refresh_token: String::new(),
        };
        member.log_in().await;
        member
    }

    /// Logs in again.
    pub async fn log_in(&mut self) {
        let body = json!({ "email": self.email, "password": self.password });
        let tokens = self.server.post("/api/v1/auth/login", &body).await.ok(200);
        self.token = tokens["access_token"].as_str().unwrap().to_owned();
        self.refresh_token = tokens["refresh_token"].as_str().unwrap().to_owned();
    }

    /// A request under `/api/v1`. A read sees all that this test has written, by anybody.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let reads = method == Method::GET;
        let request = self.server.request(method, &format!("/api/v1{path}")).bearer_auth(&self.token);
        if reads { request.header("Verbatim-Position", self.server.position()) } else { request }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> impl Future<Output = Answer> + use<> {
        self.server.call(self.request(Method::GET, path))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> impl Future<Output = Answer> + use<> {
        self.server.call(self.request(Method::POST, path).json(body))
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> impl Future<Output = Answer> + use<> {
        self.server.call(self.request(Method::PUT, path).json(body))
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> impl Future<Output = Answer> + use<> {
        self.server.call(self.request(Method::PATCH, path).json(body))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> impl Future<Output = Answer> + use<> {
        self.server.call(self.request(Method::DELETE, path))
    }

    /// Opens a group room and gives its id.
    pub async fn room(&self, name: &str) -> String {
        let room = self.post("/rooms", &json!({ "name": name })).await.ok(201);
        room["room_id"].as_str().unwrap().to_owned()
    }

    /// Opens a group room with others in it.
    pub async fn room_with(&self, others: &[&Self]) -> String {
        let room = self.room("a room").await;
        for other in others {
            other.join(&room).await;
        }
        room
    }

    /// Joins a group room.
    pub async fn join(&self, room: &str) {
        self.post(&format!("/rooms/{room}/members"), &json!({})).await.ok(200);
    }

    /// Leaves a room.
    pub async fn leave(&self, room: &str) {
        let answer = self.delete(&format!("/rooms/{room}/members/me")).await;
        assert!((200..300).contains(&answer.status), "{}", answer.text);
    }

    /// Removes somebody from a room of one's own.
    pub async fn remove(&self, room: &str, other: &Self) {
        let answer = self.delete(&format!("/rooms/{room}/members/{}", other.id)).await;
        assert!((200..300).contains(&answer.status), "{}", answer.text);
    }

    /// Says something; gives the message.
    pub async fn say(&self, room: &str, body: &str) -> Value {
        self.post(&format!("/rooms/{room}/messages"), &json!({ "body": body })).await.ok(201)
    }

    /// Says `from..=to`, one after the other.
    pub async fn count(&self, room: &str, from: u64, to: u64) {
        for n in from..=to {
            assert_eq!(self.say(room, &format!("message {n}")).await["seq"], n);
        }
    }

    /// A page of history; `query` as in `after=3&limit=10`. It has all that is in the log by now, whoever sent it.
    pub async fn history(&self, room: &str, query: &str) -> Vec<Value> {
        // A receipt of STOMP says no position to read from. Nothing is marked read by this, and its answer says where the
        // log ends.
        self.read(room, 0).await;
        self.get(&format!("/rooms/{room}/messages?{query}")).await.items()
    }

    /// All of a room's history.
    pub async fn whole_history(&self, room: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map_or(0, |message| message["seq"].as_u64().unwrap());
            let page = self.history(room, &format!("after={after}&limit=200")).await;
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// Marks a room read up to a message.
    pub async fn read(&self, room: &str, seq: u64) -> Value {
        self.put(&format!("/rooms/{room}/read-cursor"), &json!({ "seq": seq })).await.ok(200)
    }

    /// One's own rooms with their unread counts.
    pub async fn my_rooms(&self) -> Vec<Value> {
        self.get("/me/rooms?limit=200").await.items()
    }

    /// A ticket for one connection.
    pub async fn ticket(&self) -> String {
        let ticket = self.post("/auth/ticket", &json!({})).await.ok(201);
        ticket["ticket"].as_str().unwrap().to_owned()
    }

    /// A STOMP 1.2 session.
    pub async fn stomp(&self) -> Stomp {
        let mut stomp = Stomp::open(&self.server, &Handshake::default()).await;
        stomp.connect("1.2", &self.token).await;
        stomp
    }

    /// The event stream of a room; `query` as in `after=3`.
    pub async fn room_events(&self, room: &str, query: &str) -> SseStream {
        let path = format!("/rooms/{room}/events?{query}");
        SseStream::open(self.request(Method::GET, &path)).await
    }

    /// One's own event stream.
    pub async fn my_events(&self) -> SseStream {
        SseStream::open(self.request(Method::GET, "/me/events")).await
    }
}
