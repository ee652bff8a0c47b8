//! A client without a network. Each answer is checked against the OpenAPI document: an operation that answers a status or
//! a media type that it does not document fails the test that saw it.

use super::{
    super::{
        EventStreams, HttpObserver, HttpOptions, HttpState, Readiness, ReadinessState, Resource, app,
        openapi_document, problem,
    },
    ports::{Counter, Identity, Log},
    readers::Readers,
};
use async_trait::async_trait;
use poem::{
    Endpoint, EndpointExt, Request, Response, Route,
    endpoint::{BoxEndpoint, make},
    http::{HeaderMap, Method, Uri},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};
use verbatim_application::{
    App, AppError,
    bus::{Bus, BusTasks, Unobserved},
    ports::{AccessClaims, ProjectionsAdmin},
};
use verbatim_domain::{MemberId, RoomId, member::MemberRole};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&openapi_document()).unwrap());

/// Who asked for a stream, of which room, after which message.
type Asked = (MemberId, Option<RoomId>, Option<u64>);

/// What a stream, the observer and the readiness check were asked and say.
#[derive(Default)]
pub(super) struct Probe {
    pub(super) streams: Mutex<Vec<Asked>>,
    pub(super) answered: Mutex<Vec<(&'static str, String, u16)>>,
    pub(super) broken: Mutex<Option<String>>,
}

#[async_trait]
impl EventStreams for Probe {
    async fn own(&self, claims: AccessClaims) -> Result<Response, AppError> {
        self.streams.lock().unwrap().push((claims.member_id, None, None));
        Ok(Response::builder().content_type("text/event-stream").body(": hello\n\n"))
    }

    async fn room(
        &self,
        claims: AccessClaims,
        room: RoomId,
        after: Option<u64>,
    ) -> Result<Response, AppError> {
        self.streams.lock().unwrap().push((claims.member_id, Some(room), after));
        Ok(Response::builder().content_type("text/event-stream").body(": hello\n\n"))
    }
}

impl HttpObserver for Probe {
    fn answered(&self, method: &'static str, template: &str, status: u16, _: Duration) {
        self.answered.lock().unwrap().push((method, template.to_owned(), status));
    }
}

#[async_trait]
impl Readiness for Probe {
    async fn check(&self) -> Vec<(&'static str, ReadinessState)> {
        let broken = self.broken.lock().unwrap().clone();
        let log = broken.map_or(ReadinessState::Ready, ReadinessState::Away);
        let redis = ReadinessState::Degraded("it does not answer".to_owned());
        vec![("event log", log), ("read models", ReadinessState::Ready), ("redis", redis)]
    }
}

pub(super) struct Client {
    endpoint: BoxEndpoint<'static, Response>,
    _tasks: BusTasks,
    pub(super) app: Arc<App>,
    pub(super) probe: Arc<Probe>,
}

/// An answer, with its body read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// The body, if it is JSON.
    pub(super) json: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn position(&self) -> u64 {
        self.header("Verbatim-Position").unwrap().parse().unwrap()
    }

    /// Asserts that this is a problem document, whole and in shape.
    #[track_caller]
    pub(super) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), Some(problem::CONTENT_TYPE));
        assert_eq!(self.json["type"], format!("/problems/{code}"));
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["request_id"].as_str(), self.header("x-request-id"));
        assert!(self.json["request_id"].is_string() && self.json["title"].is_string());
        assert_eq!(self.json["detail"].is_string(), status != 500);
    }

    /// Names of the fields that a 400 complains about.
    pub(super) fn wrong(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
    }
}

/// A request that is being put together.
pub(super) struct Sending<'c> {
    client: &'c Client,
    request: Request,
}

impl Client {
    pub(super) fn start(options: HttpOptions, projections: Arc<dyn ProjectionsAdmin>) -> Self {
        let log = Arc::new(Log::default());
        let clock = Arc::new(Counter::default());
        let identity = Arc::new(Identity::default());
        let readers = Arc::new(Readers(log.clone()));
        let (bus, tasks) = Bus::start(log.clone(), clock.clone(), Arc::new(Unobserved));
        let app_state = Arc::new(App {
            bus,
            log,
            clock: clock.clone(),
            ids: clock,
            passwords: identity.clone(),
            tokens: identity.clone(),
            sessions: identity.clone(),
            logins: identity.clone(),
            tickets: identity,
            history: readers.clone(),
            rooms: readers.clone(),
            members: readers.clone(),
            unread: readers.clone(),
            positions: readers,
        });
        let probe = Arc::new(Probe::default());
        let state = HttpState {
            app: app_state.clone(),
            events: probe.clone(),
            projections,
            readiness: probe.clone(),
            metrics: Arc::new(|| "up 1\n".to_owned()),
            observer: probe.clone(),
        };
        let extra = Route::new()
            .at("/panic", make(|_| async { panic!("on purpose") as Response }))
            .at("/slow", Resource::new("/slow").get(make(|_| std::future::pending::<Response>())));
        Self { endpoint: app(state, options, extra).boxed(), _tasks: tasks, app: app_state, probe }
    }

    pub(super) fn send(&self, method: &str, path: &str) -> Sending<'_> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(path.parse::<Uri>().unwrap()).finish();
        Sending { client: self, request }
    }

    pub(super) fn get(&self, path: &str) -> Sending<'_> {
        self.send("GET", &format!("/api/v1{path}"))
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Sending<'_> {
        self.send("POST", &format!("/api/v1{path}")).json(&body)
    }

    pub(super) fn put(&self, path: &str, body: Value) -> Sending<'_> {
        self.send("PUT", &format!("/api/v1{path}")).json(&body)
    }

    pub(super) fn patch(&self, path: &str, body: Value) -> Sending<'_> {
        self.send("PATCH", &format!("/api/v1{path}")).json(&body)
    }

    pub(super) fn delete(&self, path: &str) -> Sending<'_> {
        self.send("DELETE", &format!("/api/v1{path}"))
    }

    /// Opens an account and logs in: its id and access token.
    pub(super) async fn member(&self, name: &str) -> (String, String) {
        let (email, password) = (format!("{name}@example.org"), format!("password of {name}"));
        let account = json!({ "email": email, "password": password, "display_name": name });
        let id = self.post("/members", account).await.json["member_id"].as_str().unwrap().to_owned();
        let tokens = self.post("/auth/login", json!({ "email": email, "password": password })).await;
        (id, tokens.json["access_token"].as_str().unwrap().to_owned())
    }

    /// The same with role admin.
    pub(super) async fn admin(&self) -> String {
        let (_, _) = self.member("root").await;
        self.app.change_role("root@example.org", MemberRole::Admin).await.unwrap();
        let login = json!({ "email": "root@example.org", "password": "password of root" });
        self.post("/auth/login", login).await.json["access_token"].as_str().unwrap().to_owned()
    }

    /// Opens a group room: its id.
    pub(super) async fn room(&self, token: &str) -> String {
        let room = self.post("/rooms", json!({ "name": "A room" })).by(token).await;
        room.json["room_id"].as_str().unwrap().to_owned()
    }
}

impl Sending<'_> {
    pub(super) fn by(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(super) fn body(mut self, content_type: &str, body: impl Into<poem::Body>) -> Self {
        self.request.headers_mut().insert("content-type", content_type.parse().unwrap());
        self.request.set_body(body);
        self
    }
}

impl<'c> IntoFuture for Sending<'c> {
    type Output = Answer;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Answer> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (method, path) = (self.request.method().clone(), self.request.uri().path().to_owned());
            let response = self.client.endpoint.get_response(self.request).await;
            let (parts, body) = response.into_parts();
            let text = String::from_utf8(body.into_vec().await.unwrap()).unwrap();
            let json = serde_json::from_str(&text).unwrap_or_default();
            let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, text, json };
            assert_documented(&method, &path, &answer);
            answer
        })
    }
}

/// What a reference leads to.
pub(super) fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// Fails if the operation that answered does not document this answer.
fn assert_documented(method: &Method, path: &str, answer: &Answer) {
    let matches = |template: &str| {
        let (template, path): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        let same = |(t, p): (&&str, &&str)| t == p || t.starts_with('{');
        template.len() == path.len() && template.iter().zip(&path).all(same)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    // The literal path before the one with parameters, as routers do.
    let mut templates: Vec<&String> = paths.keys().filter(|template| matches(template)).collect();
    templates.sort_by_key(|template| template.contains('{'));
    let Some(operation) = templates.iter().find_map(|template| paths[*template].get(&method)) else { return };
    let documented = resolve(&DOCUMENT, &operation["responses"][answer.status.to_string()]);
    assert!(documented.is_object(), "{method} {path} does not document {}: {}", answer.status, answer.text);
    let content_type = answer.header("content-type");
    assert_eq!(documented["content"].is_object(), content_type.is_some(), "{method} {path}: {answer:?}");
    if let Some(content_type) = content_type {
        assert!(documented["content"][content_type].is_object(), "{method} {path}: {content_type}");
    }
    for (name, header) in documented["headers"].as_object().unwrap() {
        let required = resolve(&DOCUMENT, header)["required"] == true;
        assert!(
            !required || answer.headers.contains_key(name),
            "{method} {path} {}: no {name}",
            answer.status
        );
    }
}
