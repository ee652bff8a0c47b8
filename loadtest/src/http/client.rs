//! REST calls. Every command says which of three things happened: it was done, it was refused, or nobody knows.

use super::{EventStream, Login, Member, Message, MyRoom, Page, ReadCursor, Room, SeqPage};
use crate::Error;
use crate::ids::{MemberId, RoomId};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Most characters of an error answer that a report quotes.
const MAX_QUOTE: usize = 300;

/// Why a call gave no answer of the expected shape.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The server said no, and so did nothing: any 4xx but 408 and 429.
    #[error("refused with {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        detail: String,
    },
    /// The connection broke, time ran out, or the server could not say (5xx, 408, 429): it may have been done.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// An answer of a shape that the interface does not allow.
    #[error("unexpected answer: {0}")]
    Malformed(String),
}

impl CallError {
    /// Whether the command may have been done all the same.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { status, detail } => Self::Refused(format!("{status}: {detail}")),
            CallError::Unknown(detail) => Self::Refused(detail),
            CallError::Malformed(detail) => Self::Protocol(detail),
        }
    }
}

/// The API of one server. Clones share connections and the newest known log position.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    streams: reqwest::Client,
    base: String,
    position: Arc<AtomicU64>,
}

impl Api {
    /// For the server at `base` (`http://127.0.0.1:8080`), each call bounded by `limit`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(base: &str, limit: Duration) -> Result<Self, Error> {
        Ok(Self {
            http: reqwest::Client::builder().timeout(limit).connect_timeout(limit).build()?,
            // No total limit: a stream is meant to stay; silence is bounded where it is read.
            streams: reqwest::Client::builder().connect_timeout(limit).build()?,
            base: format!("{base}/api/v1"),
            position: Arc::default(),
        })
    }

    /// Newest log position that any command has answered (`Verbatim-Position`); 0 before the first.
    pub fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// `POST /members`
    ///
    /// # Errors
    /// See [`CallError`]; so for every call below.
    pub async fn register(&self, email: &str, password: &str, name: &str) -> Result<Member, CallError> {
        let body = json!({ "email": email, "password": password, "display_name": name });
        self.call(self.request(Method::POST, "/members", None).json(&body)).await
    }

    /// `POST /auth/login`
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn login(&self, email: &str, password: &str) -> Result<Login, CallError> {
        let body = json!({ "email": email, "password": password });
        self.call(self.request(Method::POST, "/auth/login", None).json(&body)).await
    }

    /// `POST /rooms`
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create_room(&self, token: &str, name: &str) -> Result<Room, CallError> {
        self.call(self.request(Method::POST, "/rooms", Some(token)).json(&json!({ "name": name }))).await
    }

    /// `GET /rooms`, one page.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn rooms(&self, token: &str, cursor: Option<&Value>) -> Result<Page<Room>, CallError> {
        self.call(page(self.request(Method::GET, "/rooms", Some(token)), cursor)).await
    }

    /// `POST /rooms/{room_id}/members` with `{}`: join.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn join(&self, token: &str, room: RoomId) -> Result<(), CallError> {
        self.done(self.request(Method::POST, &format!("/rooms/{room}/members"), Some(token)).json(&json!({})))
            .await
    }

    /// `POST /rooms/{room_id}/members` with a member: add.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn add(&self, token: &str, room: RoomId, member: MemberId) -> Result<(), CallError> {
        let body = json!({ "member_id": member });
        self.done(self.request(Method::POST, &format!("/rooms/{room}/members"), Some(token)).json(&body))
            .await
    }

    /// `DELETE /rooms/{room_id}/members/me`
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn leave(&self, token: &str, room: RoomId) -> Result<(), CallError> {
        self.done(self.request(Method::DELETE, &format!("/rooms/{room}/members/me"), Some(token))).await
    }

    /// `POST /rooms/{room_id}/messages` with `Idempotency-Key`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn send(&self, token: &str, room: RoomId, key: &str, body: &str) -> Result<Message, CallError> {
        let request = self.request(Method::POST, &format!("/rooms/{room}/messages"), Some(token));
        self.call(request.header("Idempotency-Key", key).json(&json!({ "body": body }))).await
    }

    /// `PATCH /rooms/{room_id}/messages/{seq}`
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn edit(&self, token: &str, room: RoomId, seq: u64, body: &str) -> Result<(), CallError> {
        let path = format!("/rooms/{room}/messages/{seq}");
        self.done(self.request(Method::PATCH, &path, Some(token)).json(&json!({ "body": body }))).await
    }

    /// `DELETE /rooms/{room_id}/messages/{seq}`
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete(&self, token: &str, room: RoomId, seq: u64) -> Result<(), CallError> {
        self.done(self.request(Method::DELETE, &format!("/rooms/{room}/messages/{seq}"), Some(token))).await
    }

    /// `PUT /rooms/{room_id}/read-cursor`
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn mark_read(&self, token: &str, room: RoomId, seq: u64) -> Result<ReadCursor, CallError> {
        let path = format!("/rooms/{room}/read-cursor");
        self.call(self.request(Method::PUT, &path, Some(token)).json(&json!({ "seq": seq }))).await
    }

    /// `GET /rooms/{room_id}/messages`; `min_position` waits for the projection to reach it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn history(
        &self,
        token: &str,
        room: RoomId,
        which: SeqPage,
        limit: u32,
        min_position: u64,
    ) -> Result<Page<Message>, CallError> {
        let request = self.request(Method::GET, &format!("/rooms/{room}/messages"), Some(token));
        let request = request.query(&[("limit", limit)]);
        let request = match which {
            SeqPage::Newest => request,
            SeqPage::After(seq) => request.query(&[("after", seq)]),
            SeqPage::Before(seq) => request.query(&[("before", seq)]),
        };
        self.call(seen(request, min_position)).await
    }

    /// `GET /me/rooms`, one page; `min_position` waits for the projection to reach it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn my_rooms(
        &self,
        token: &str,
        cursor: Option<&Value>,
        min_position: u64,
    ) -> Result<Page<MyRoom>, CallError> {
        self.call(seen(page(self.request(Method::GET, "/me/rooms", Some(token)), cursor), min_position)).await
    }

    /// `GET /me/events`: the member's own stream.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn my_events(&self, token: &str) -> Result<EventStream, CallError> {
        self.stream("/me/events", token, None).await
    }

    /// `GET /rooms/{room_id}/events`, resumed with `Last-Event-ID` if there is an `after`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn room_events(
        &self,
        token: &str,
        room: RoomId,
        after: Option<u64>,
    ) -> Result<EventStream, CallError> {
        self.stream(&format!("/rooms/{room}/events"), token, after).await
    }

    async fn stream(&self, path: &str, token: &str, after: Option<u64>) -> Result<EventStream, CallError> {
        let mut request = self
            .streams
            .get(format!("{}{path}", self.base))
            .bearer_auth(token)
            .header("Accept", "text/event-stream");
        if let Some(seq) = after {
            request = request.header("Last-Event-ID", seq);
        }
        Ok(EventStream::new(self.answer(request).await?))
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let answer = self.answer(request).await?;
        let text = answer.text().await.map_err(|error| CallError::Unknown(error.to_string()))?;
        serde_json::from_str(&text)
            .map_err(|error| CallError::Malformed(format!("{error}: {}", quote(&text))))
    }

    async fn done(&self, request: RequestBuilder) -> Result<(), CallError> {
        let answer = self.answer(request).await?;
        answer.bytes().await.map(drop).map_err(|error| CallError::Unknown(error.to_string()))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<reqwest::Response, CallError> {
        let answer = request.send().await.map_err(|error| CallError::Unknown(error.to_string()))?;
        let status = answer.status();
        let position =
            answer.headers().get("Verbatim-Position").and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(position) = position {
            self.position.fetch_max(position, Relaxed);
        }
        if status.is_success() {
            return Ok(answer);
        }
        let detail = quote(&answer.text().await.unwrap_or_default());
        let undecided = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        if status.is_server_error() || undecided.contains(&status) {
            return Err(CallError::Unknown(format!("{status}: {detail}")));
        }
        Err(CallError::Refused { status: status.as_u16(), detail })
    }
}

fn page(request: RequestBuilder, cursor: Option<&Value>) -> RequestBuilder {
    let request = request.query(&[("limit", 200)]);
    match cursor {
        Some(Value::String(text)) => request.query(&[("cursor", text)]),
        Some(other) => request.query(&[("cursor", other.to_string())]),
        None => request,
    }
}

fn seen(request: RequestBuilder, min_position: u64) -> RequestBuilder {
    if min_position == 0 { request } else { request.query(&[("min_position", min_position)]) }
}

fn quote(text: &str) -> String {
    text.chars().take(MAX_QUOTE).collect()
}
