//! An answer, with what must hold for every one of them.

use reqwest::{Response, header::HeaderMap};
use serde_json::Value;
use std::{ops::Index, panic::Location};

/// A whole answer. `answer["field"]` reads its JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    request: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}

impl Answer {
    pub(super) async fn of(request: String, response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap().to_vec();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { request, status, headers, bytes, json }
    }

    /// A header; a test reads each of them once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.get_all(name).iter();
        let first = all.next()?;
        assert!(all.next().is_none(), "{}: two headers {name}", self.request);
        Some(first.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    /// `Verbatim-Position`
    pub fn position(&self) -> u64 {
        let position = self.header("Verbatim-Position");
        position.unwrap_or_else(|| panic!("{self}: no Verbatim-Position")).parse().unwrap()
    }

    /// A field that is a string.
    #[track_caller]
    pub fn str(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("{self}: no string {field}"))
    }

    /// A field that is a whole number.
    #[track_caller]
    pub fn number(&self, field: &str) -> u64 {
        self.json[field].as_u64().unwrap_or_else(|| panic!("{self}: no number {field}"))
    }

    /// The items of a list.
    #[track_caller]
    pub fn items(&self) -> &[Value] {
        self.json["items"].as_array().unwrap_or_else(|| panic!("{self}: no list"))
    }

    /// One field of every item of a list.
    #[track_caller]
    pub fn column(&self, field: &str) -> Vec<Value> {
        self.items().iter().map(|item| item[field].clone()).collect()
    }

    /// Checks that this is an answer of this status, with a request id, and JSON if it has a body.
    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        self.ok_at(status, Location::caller())
    }

    pub(super) fn ok_at(self, status: u16, place: &Location<'_>) -> Self {
        assert!(self.status == status, "{place}: {self}: not {status}");
        self.has_general_headers(place);
        if status == 204 {
            assert!(self.bytes.is_empty(), "{place}: {self}: 204 with a body");
        } else if self.header("Content-Type") == Some("application/json")
            && !self.request.starts_with("HEAD ")
        {
            assert!(!self.json.is_null(), "{place}: {self}: not JSON");
        }
        self
    }

    /// Checks that this is a problem document (RFC 9457) in all its parts, with this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        self.problem_at(status, code, Location::caller())
    }

    pub(super) fn problem_at(self, status: u16, code: &str, place: &Location<'_>) -> Self {
        assert!(self.status == status && self["code"] == code, "{place}: {self}: not {status} {code}");
        self.has_general_headers(place);
        assert_eq!(self.header("Content-Type"), Some("application/problem+json"), "{place}: {self}");
        assert_eq!(self["type"], format!("/problems/{code}"), "{place}: {self}");
        assert_eq!(self["status"], status, "{place}: {self}");
        assert!(!self.str("title").is_empty(), "{place}: {self}");
        assert!(status == 500 || !self.str("detail").is_empty(), "{place}: {self}");
        assert_eq!(self["request_id"].as_str(), self.header("X-Request-Id"), "{place}: {self}");
        let known = ["type", "title", "status", "detail", "code", "request_id", "errors"];
        let unknown: Vec<_> =
            self.json.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "{place}: {self}: {unknown:?}");
        for wrong in self["errors"].as_array().into_iter().flatten() {
            assert!(wrong["field"].is_string() && wrong["detail"].is_string(), "{place}: {self}");
        }
        // RFC 9110: 401 with a challenge (11.6.1), 405 with the methods (15.5.6).
        assert_eq!(status == 401, self.header("WWW-Authenticate").is_some(), "{place}: {self}");
        assert_eq!(status == 405, self.header("Allow").is_some(), "{place}: {self}");
        if matches!(status, 429 | 503) && code != "not_ready" {
            let wait: u64 = self.header("Retry-After").expect("Retry-After").parse().unwrap();
            assert!(wait >= 1, "{place}: {self}");
        }
        self
    }

    /// The names of the fields that a problem complains of, in order.
    pub fn wrong_fields(&self) -> Vec<&str> {
        self["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|wrong| wrong["field"].as_str().unwrap())
            .collect()
    }

    fn has_general_headers(&self, place: &Location<'_>) {
        let id = self.header("X-Request-Id").unwrap_or_default();
        assert!(!id.is_empty() && id.len() <= 64, "{place}: {self}: no request id");
        assert_eq!(self.header("X-Content-Type-Options"), Some("nosniff"), "{place}: {self}");
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = String::from_utf8_lossy(&self.bytes).chars().take(500).collect();
        write!(f, "{} was answered {} {text}", self.request, self.status)
    }
}
