//! The place where errors are handled: turned into problem documents. [`super::observe`] logs them, each once.

use super::{RequestId, Template};
use crate::http::problem::{self, Problem};
use futures_util::FutureExt;
use poem::{Endpoint, Error, Middleware, PathPattern, Request, Response, Result, http::StatusCode};
use std::{any::Any, panic::AssertUnwindSafe};
use verbatim_application::{AppError, error::causes};

/// The middleware. Behind it there are no errors any more, only answers.
pub(in crate::http) struct Problems;

impl<E: Endpoint<Output = Response>> Middleware<E> for Problems {
    type Output = Handled<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Handled { inner }
    }
}

pub(in crate::http) struct Handled<E> {
    inner: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Handled<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let id = request.data::<RequestId>().cloned();
        let id = id.as_ref().map(RequestId::as_str);
        // Nothing of the request is looked at after a panic, so nothing half-changed can be seen.
        match AssertUnwindSafe(self.inner.call(request)).catch_unwind().await {
            Ok(Ok(response)) => Ok(uniform(response, id)),
            Ok(Err(error)) if error.is_from_response() => Ok(uniform(error.into_response(), id)),
            Ok(Err(error)) => Ok(refuse(error, id)),
            Err(panic) => Ok(answer(&panicked(panic.as_ref()), id)),
        }
    }
}

/// Why a request was not answered as it should be, for its line in the log: set on the answer.
#[derive(Debug, Clone)]
pub(in crate::http) struct Failure {
    /// All that lies beneath, on one line.
    pub(in crate::http) causes: Option<String>,
}

fn answer(problem: &Problem, id: Option<&str>) -> Response {
    let mut response = problem.response(id);
    // A refusal is business as usual; a failure is ours to look at, with all that lies beneath.
    if problem.source.is_some() || problem.status == StatusCode::INTERNAL_SERVER_ERROR {
        response.set_data(Failure { causes: problem.source.as_ref().map(|source| causes(source.as_ref())) });
    }
    response
}

fn refuse(error: Error, id: Option<&str>) -> Response {
    let (template, pattern) = (error.data::<Template>().cloned(), error.data::<PathPattern>().cloned());
    let mut response = answer(&Problem::from(error), id);
    if let Some(template) = template {
        response.set_data(template);
    }
    if let Some(pattern) = pattern {
        response.set_data(pattern);
    }
    response
}

/// An error that came as an answer, from a library or a plain handler, gets the one shape, too.
fn uniform(response: Response, id: Option<&str>) -> Response {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || response.content_type() == Some(problem::CONTENT_TYPE) {
        return response;
    }
    let (parts, _) = response.into_parts();
    let mut uniform = answer(&Problem::bare(status), id);
    for (name, value) in &parts.headers {
        if !name.as_str().starts_with("content-") {
            uniform.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
    uniform.extensions_mut().extend(parts.extensions);
    uniform
}

/// A panic is a bug like any other: one request fails, the service goes on.
pub(in crate::http) fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let text = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    AppError::internal(format!("a handler panicked: {}", text.unwrap_or("without a message"))).into()
}
