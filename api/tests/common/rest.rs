//! The REST door, as plain as can be.

use super::within;
use reqwest::{Client, Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::Value;
use std::{
    ops::Index,
    panic::Location,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Where a server is, and how far its log is as far as this test knows.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    url: RwLock<String>,
    position: AtomicU64,
    names: AtomicU64,
}

impl Server {
    pub(super) fn new() -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        let inner =
            Inner { client, url: RwLock::default(), position: AtomicU64::new(0), names: AtomicU64::new(1) };
        Self(Arc::new(inner))
    }

    pub fn moved_to(&self, url: &str) {
        url.clone_into(&mut self.0.url.write().unwrap());
    }

    /// `http://127.0.0.1:port`
    pub fn base(&self) -> String {
        self.0.url.read().unwrap().clone()
    }

    /// `127.0.0.1:port`
    pub fn authority(&self) -> String {
        self.base().trim_start_matches("http://").to_owned()
    }

    /// The HTTP client that all of a test share.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// A number that is used once in this test.
    pub fn unique(&self) -> u64 {
        self.0.names.fetch_add(1, Ordering::Relaxed)
    }

    /// The furthest `Verbatim-Position` that any answer of this test had.
    pub fn position(&self) -> u64 {
        self.0.position.load(Ordering::Relaxed)
    }

    /// Reads from now on see everything up to `position`.
    pub fn see(&self, position: u64) {
        self.0.position.fetch_max(position, Ordering::Relaxed);
    }

    /// A request to a path such as `/health/ready`, without anything.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.0.client.request(method, format!("{}{path}", self.base()))
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn call(&self, request: RequestBuilder) -> impl Future<Output = Answer> + use<> {
        let place = Location::caller();
        let server = self.clone();
        async move {
            server.try_call(request).await.unwrap_or_else(|error| panic!("{place}: no answer: {error:?}"))
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// There is none: the server is gone.
    pub async fn try_call(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let answer = within("an answer", async { Answer::read(request.send().await?).await }).await?;
        if let Some(position) = answer.headers.get("verbatim-position") {
            self.see(position.to_str().unwrap().parse().unwrap());
        }
        Ok(answer)
    }

    /// POST with a JSON body, by nobody.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> impl Future<Output = Answer> + use<> {
        self.call(self.request(Method::POST, path).json(body))
    }

    /// GET, by nobody.
    #[track_caller]
    pub fn get(&self, path: &str) -> impl Future<Output = Answer> + use<> {
        self.call(self.request(Method::GET, path))
    }
}

/// A whole answer. `answer["field"]` reads its JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub text: String,
    /// Its body as JSON; null if it is none.
    pub json: Value,
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}

impl Answer {
    async fn read(response: Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Self { status, headers, text, json })
    }

    /// Its JSON, if it has this status.
    #[track_caller]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }

    /// Checks that it is this problem.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.text);
    }

    /// The items of a list.
    #[track_caller]
    pub fn items(self) -> Vec<Value> {
        let text = self.text.clone();
        match self.ok(200)["items"].take() {
            Value::Array(items) => items,
            _ => panic!("no list: {text}"),
        }
    }
}
