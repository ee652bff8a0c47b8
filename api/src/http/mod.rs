//! HTTP: the REST API with its OpenAPI document, and the pages beside it.
//!
//! ```text
//! request ─► Observe ─► SecurityHeaders ─► Cors ─► Problems ─► Route ─► Resource (limits) ─► operation ─► App
//! ```
//! An operation reads its parts with extractors ([`auth`], `body`, `param`, `context`), calls one method of
//! [`verbatim_application::App`] and says how its answer looks. Errors travel as [`problem::Problem`] and become answers
//! in one place.

mod answer;
pub mod auth;
mod body;
mod client_address;
mod context;
mod document;
mod events;
mod input;
mod middleware;
mod pages;
mod param;
pub mod problem;
mod resource;
mod routes;
mod schema;

pub use answer::REPLAYED_HEADER;
pub use body::BODY_MAX;
pub use client_address::{Network, NetworkError, client_address};
pub use context::{KEY_HEADER, POSITION_HEADER};
pub use document::openapi_document;
pub use events::EventStreams;
pub use middleware::{HttpObserver, RequestId};
pub use pages::{Metrics, Readiness, ReadinessState};
pub use resource::{CONCURRENT_MAX, LONG_TIME_LIMIT, Resource, TIME_LIMIT};

#[cfg(test)]
mod tests;

use client_address::TrustedProxies;
use middleware::{Cors, Observe, Problems, SecurityHeaders, label};
use poem::{Endpoint, EndpointExt, Response, Route, endpoint::BoxEndpoint, http::Method};
use poem_openapi::OpenApi;
use resource::Limits;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;
use verbatim_application::{App, AppError, ports::ProjectionsAdmin};

/// What the handlers work with.
#[derive(Clone)]
pub struct HttpState {
    /// The use cases.
    pub app: Arc<App>,
    /// Makes the event streams.
    pub events: Arc<dyn EventStreams>,
    /// Operates the projections.
    pub projections: Arc<dyn ProjectionsAdmin>,
    /// Says whether the dependencies are there.
    pub readiness: Arc<dyn Readiness>,
    /// Writes the metrics.
    pub metrics: Metrics,
    /// Counts requests.
    pub observer: Arc<dyn HttpObserver>,
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Proxies whose `X-Forwarded-For` is believed; none by default.
    pub trusted_proxies: Vec<Network>,
    /// Origins that browsers may call from, as they write them (`https://chat.example`), or `*`; none by default.
    pub allowed_origins: Vec<String>,
    /// Most requests that are worked on at once; one more is answered 503.
    pub concurrent_max: usize,
    /// How long a request may take until its answer begins.
    pub time_limit: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            concurrent_max: CONCURRENT_MAX,
            time_limit: TIME_LIMIT,
        }
    }
}

/// `/rooms/{room_id}` and `/rooms/:param0` alike as `/rooms/*`.
fn shape(path: &str) -> String {
    let segment =
        |segment: &'_ str| if segment.starts_with([':', '{']) { "*".to_owned() } else { segment.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The paths under `/api/v1`. poem-openapi's own routing does not know the names of path parameters, nor `Allow`.
fn operations(limits: &Limits) -> Vec<Resource> {
    let mut table: HashMap<String, HashMap<Method, BoxEndpoint<'static>>> = HashMap::new();
    routes::apis().add_routes(&mut table);
    let mut endpoints: BTreeMap<String, HashMap<Method, BoxEndpoint<'static>>> =
        table.into_iter().map(|(path, methods)| (shape(&path), methods)).collect();
    let mut resources = Vec::new();
    for template in routes::Apis::meta().into_iter().flat_map(|api| api.paths).map(|path| path.path) {
        // Paths that two groups share were put together above: the first of them takes all methods.
        if let Some(methods) = endpoints.remove(&shape(&template)) {
            let time = resource::time_limit(&template, limits.time);
            let resource = Resource::new(&template).limited(Limits { time, ..limits.clone() });
            resources.push(
                methods
                    .into_iter()
                    .fold(resource, |resource, (method, endpoint)| resource.method(method, endpoint)),
            );
        }
    }
    resources
}

/// An application error for poem, which carries it to the place where it becomes an answer.
#[must_use]
pub fn to_poem(error: AppError) -> poem::Error {
    problem::Problem::from(error).into()
}

/// Everything that is served over HTTP, as one endpoint. `extra` holds routes of other transports (`/ws`): they get request
/// ids, logs, metrics and security headers like all others, and may answer errors as [`problem::Problem`].
pub fn app(
    state: HttpState,
    options: HttpOptions,
    extra: Route,
) -> impl Endpoint<Output = Response> + 'static {
    let limits =
        Limits { places: Arc::new(Semaphore::new(options.concurrent_max)), time: options.time_limit };
    let HttpState { app, events, projections, readiness, metrics, observer } = state;
    let ids = app.ids.clone();
    let resources: Vec<Resource> =
        operations(&limits).into_iter().chain(pages::resources(&readiness, &metrics)).collect();
    for (method, template) in resources.iter().flat_map(Resource::routes) {
        observer.route(label(method), template);
    }
    observer.route("GET", "/ws");
    resources
        .into_iter()
        .fold(extra, |route, resource| {
            let pattern = resource.pattern();
            route.at(pattern, resource)
        })
        .data(app)
        .data(events)
        .data(projections)
        .data(TrustedProxies(options.trusted_proxies.into()))
        .with(Problems)
        .with(Cors { origins: options.allowed_origins.into() })
        .with(SecurityHeaders)
        .with(Observe { ids, observer })
}
