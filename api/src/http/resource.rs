//! A path with its methods. It knows which ones it has, and keeps the limits on time and number.

use super::{
    middleware::{Template, note_route, panicked},
    problem::Problem,
};
use futures_util::FutureExt;
use poem::{
    Endpoint, EndpointExt, IntoEndpoint, Request, Response, Result,
    endpoint::BoxEndpoint,
    http::{HeaderValue, Method},
};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use verbatim_application::{AppError, ErrorClass};

/// Most requests that are worked on at once, unless set otherwise. Streams and sockets do not count once they are open.
pub const CONCURRENT_MAX: usize = 4_096;
/// How long a request may take, until its answer begins.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long a comparison of a whole read model with the log may take.
pub const LONG_TIME_LIMIT: Duration = Duration::from_secs(600);

/// The limits that all resources share.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// A place for each request that may be worked on.
    pub(super) places: Arc<Semaphore>,
    /// How long a request may take.
    pub(super) time: Duration,
}

/// A path with its methods. `HEAD` comes with `GET`; any other method is answered 405 with `Allow`.
pub struct Resource {
    template: Template,
    methods: Vec<(Method, BoxEndpoint<'static>)>,
    allow: HeaderValue,
    limits: Option<Limits>,
}

impl Resource {
    /// A path, written as in the OpenAPI document (`/rooms/{room_id}`), that has no methods yet and no limits.
    #[must_use]
    pub fn new(template: &str) -> Self {
        let template = Template(template.into());
        Self { template, methods: Vec::new(), allow: HeaderValue::from_static(""), limits: None }
    }

    /// Adds a method.
    #[must_use]
    pub fn method<E>(mut self, method: Method, endpoint: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        self.methods.push((method, endpoint.into_endpoint().map_to_response().boxed()));
        let mut names: Vec<&str> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        // Method names are tokens, which header values may hold.
        if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
            self.allow = allow;
        }
        self
    }

    /// Adds `GET`.
    #[must_use]
    pub fn get<E>(self, endpoint: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        self.method(Method::GET, endpoint)
    }

    /// Puts it under limits.
    pub(super) fn limited(self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// The same path as poem writes it: `/rooms/:room_id`.
    #[must_use]
    pub fn pattern(&self) -> String {
        self.template.0.replace('{', ":").replace('}', "")
    }

    /// Its methods, with the path as it stands in logs and metrics.
    pub(super) fn routes(&self) -> impl Iterator<Item = (&Method, &str)> {
        self.methods.iter().map(|(method, _)| (method, &*self.template.0))
    }

    fn find(&self, method: &Method) -> Option<&BoxEndpoint<'static>> {
        self.methods.iter().find(|(own, _)| own == method).map(|(_, endpoint)| endpoint)
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        match self.find(request.method()) {
            Some(endpoint) => endpoint.call(request).await,
            None if *request.method() == Method::HEAD => match self.find(&Method::GET) {
                Some(endpoint) => {
                    let mut response = endpoint.call(request).await?;
                    response.set_body(());
                    Ok(response)
                }
                None => Err(Problem::method_not_allowed(self.allow.clone()).into()),
            },
            None => Err(Problem::method_not_allowed(self.allow.clone()).into()),
        }
    }
}

impl Limits {
    async fn keep(&self, answer: impl Future<Output = Result<Response>>) -> Result<Response> {
        let Ok(_place) = self.places.try_acquire() else {
            let detail = "too many requests are being worked on; try again";
            return Err(Problem::from(AppError::new(ErrorClass::Overloaded, "overloaded", detail)).into());
        };
        // What was accepted goes on after that; only nobody waits for it here any more.
        tokio::time::timeout(self.time, answer).await.unwrap_or_else(|_| {
            let detail = "this took too long; what was asked for may still be done";
            Err(Problem::from(AppError::new(ErrorClass::Unavailable, "too_slow", detail)).into())
        })
    }
}

impl Endpoint for Resource {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        note_route(&self.template.0, &request);
        // Caught here, so that the answer still knows its route. Nothing of the request is looked at afterwards.
        let answer = AssertUnwindSafe(self.answer(request))
            .catch_unwind()
            .map(|answer| answer.unwrap_or_else(|panic| Err(panicked(panic.as_ref()).into())));
        let mut result = match &self.limits {
            Some(limits) => limits.keep(answer).await,
            None => answer.await,
        };
        match &mut result {
            Ok(response) => response.set_data(self.template.clone()),
            Err(error) => error.set_data(self.template.clone()),
        }
        result
    }
}

/// The time limit of a path.
pub(super) fn time_limit(template: &str, usual: Duration) -> Duration {
    if template.ends_with("/verify") { usual.max(LONG_TIME_LIMIT) } else { usual }
}
