//! Calls of the REST API, as raw as a test wants them.

use super::{Answer, LIMIT, User};
use reqwest::{Client, Method, RequestBuilder, redirect};
use serde_json::Value;

/// The API of one server.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    /// `http://127.0.0.1:port`
    pub base: String,
}

impl Api {
    /// The server at `base`.
    pub fn new(base: &str) -> Self {
        // A proxy of the machine's environment, or a redirect, would test something else than the server.
        let client = Client::builder().timeout(LIMIT).no_proxy().redirect(redirect::Policy::none());
        Self { client: client.build().unwrap(), base: base.to_owned() }
    }

    /// A request under `/api/v1`.
    pub fn call(&self, method: Method, path: &str) -> Call {
        self.at(method, &format!("/api/v1{path}"))
    }

    /// A request of any path.
    pub fn at(&self, method: Method, path: &str) -> Call {
        let name = format!("{method} {path}");
        Call { request: self.client.request(method, format!("{}{path}", self.base)), name }
    }

    /// `GET` under `/api/v1`.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// `POST` under `/api/v1`.
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// `PUT` under `/api/v1`.
    pub fn put(&self, path: &str, body: Value) -> Call {
        self.call(Method::PUT, path).json(body)
    }

    /// `PATCH` under `/api/v1`.
    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.call(Method::PATCH, path).json(body)
    }

    /// `DELETE` under `/api/v1`.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// `GET` of a path outside of the API.
    pub fn page(&self, path: &str) -> Call {
        self.at(Method::GET, path)
    }
}

/// A request that is not sent yet.
#[derive(Debug)]
pub struct Call {
    request: RequestBuilder,
    name: String,
}

impl Call {
    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: change(self.request), name: self.name }
    }

    /// With somebody's access token.
    pub fn by(self, user: &User) -> Self {
        self.bearer(&user.token)
    }

    /// With any text as access token.
    pub fn bearer(self, token: &str) -> Self {
        self.with(|request| request.bearer_auth(token))
    }

    /// With a header, however odd its value.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.with(|request| request.header(name, value.as_ref()))
    }

    /// With an idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// After a command: the read must see what that did.
    pub fn seeing(self, command: &Answer) -> Self {
        self.header("Verbatim-Position", command.position().to_string())
    }

    /// With a JSON body.
    pub fn json(self, body: Value) -> Self {
        self.with(|request| request.json(&body))
    }

    /// With any body under any content type; without one if that is empty.
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| {
            let request =
                if content_type.is_empty() { request } else { request.header("Content-Type", content_type) };
            request.body(body)
        })
    }

    /// Sends it and takes the whole answer.
    #[track_caller]
    pub fn send(self) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move {
            let name = self.name;
            match self.request.send().await {
                Ok(response) => Answer::of(name, response).await,
                Err(error) => panic!("{place}: {name}: no answer: {error:?}"),
            }
        }
    }

    /// Sends it for an answer with this status: see [`Answer::ok`].
    #[track_caller]
    pub fn ok(self, status: u16) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move { self.send().await.ok_at(status, place) }
    }

    /// Sends it for a problem: see [`Answer::problem`].
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move { self.send().await.problem_at(status, code, place) }
    }
}
