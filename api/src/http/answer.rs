//! What operations answer, so that the OpenAPI document says the same as the wire.

use super::{
    context::POSITION_HEADER,
    problem::{self, Problem},
    schema::{Schema, inline, object, string, whole},
};
use poem::{
    IntoResponse, Response,
    http::{HeaderValue, StatusCode},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
};
use serde::Serialize;
use std::marker::PhantomData;
use verbatim_application::{AppError, Done};

/// Header of an answer that is the first one again.
pub const REPLAYED_HEADER: &str = "Idempotency-Replayed";
/// Name of the schema of every error.
pub(super) const PROBLEM: &str = "Problem";

/// What stands in a body: JSON, or nothing.
pub(crate) trait Content: Send {
    /// Media types in the document; none for no body.
    fn media() -> Vec<MetaMediaType>;
    /// Puts the schemas into the document.
    fn register(registry: &mut Registry);
    /// The bytes; `None` for no body.
    fn bytes(&self) -> Option<Result<Vec<u8>, serde_json::Error>>;
}

impl<T: Schema + Serialize + Send> Content for T {
    fn media() -> Vec<MetaMediaType> {
        vec![MetaMediaType { content_type: "application/json", schema: T::schema() }]
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn bytes(&self) -> Option<Result<Vec<u8>, serde_json::Error>> {
        Some(serde_json::to_vec(self))
    }
}

/// No body.
pub(crate) struct Nothing;

impl Content for Nothing {
    fn media() -> Vec<MetaMediaType> {
        Vec::new()
    }

    fn register(_: &mut Registry) {}

    fn bytes(&self) -> Option<Result<Vec<u8>, serde_json::Error>> {
        None
    }
}

fn respond<T: Content>(status: u16, body: &T) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    match body.bytes() {
        None => Response::builder().status(status).finish(),
        Some(Ok(json)) => Response::builder().status(status).content_type("application/json").body(json),
        Some(Err(error)) => Problem::from(AppError::internal(error)).response(None),
    }
}

fn header(name: &str, about: &str, required: bool, schema: MetaSchema) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(about.to_owned()),
        required,
        deprecated: false,
        schema: inline(schema),
    }
}

fn position_header() -> MetaHeader {
    let about = "Position in the log that includes this command: a read with it in the same header, or as \
                 `min_position`, sees the command.";
    header(POSITION_HEADER, about, true, whole(0, super::schema::WHOLE_MAX))
}

fn meta<T: Content>(status: u16, headers: Vec<MetaHeader>) -> MetaResponses {
    let description = match status {
        201 => "It is there now, durably.",
        202 => "It has begun.",
        204 => "It is done, durably.",
        _ => "Here it is.",
    };
    let response =
        MetaResponse { description, status: Some(status), status_range: None, content: T::media(), headers };
    MetaResponses { responses: vec![response] }
}

/// An answer without a place in the log: to a read, or to what is not an event.
pub(crate) struct Plain<T, const STATUS: u16 = 200>(pub(crate) T);

impl<T: Content, const STATUS: u16> IntoResponse for Plain<T, STATUS> {
    fn into_response(self) -> Response {
        respond(STATUS, &self.0)
    }
}

impl<T: Content, const STATUS: u16> ApiResponse for Plain<T, STATUS> {
    fn meta() -> MetaResponses {
        meta::<T>(STATUS, Vec::new())
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// The answer to a command.
pub(crate) struct Command<T, const STATUS: u16 = 200> {
    body: T,
    position: u64,
}

impl<T: Content, const STATUS: u16> Command<T, STATUS> {
    /// The answer to a command that is done, with what it gives turned into a body.
    pub(crate) fn of<V>(done: Done<V>, body: impl FnOnce(V) -> T) -> Self {
        Self { body: body(done.value), position: done.position }
    }
}

impl<T: Content, const STATUS: u16> IntoResponse for Command<T, STATUS> {
    fn into_response(self) -> Response {
        let mut response = respond(STATUS, &self.body);
        response.headers_mut().insert(POSITION_HEADER, HeaderValue::from(self.position));
        response
    }
}

impl<T: Content, const STATUS: u16> ApiResponse for Command<T, STATUS> {
    fn meta() -> MetaResponses {
        meta::<T>(STATUS, vec![position_header()])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// The answer to a command that creates something, now or the first time its key was used: 201.
pub(crate) struct Created<T> {
    command: Command<T, 201>,
    repeated: bool,
}

impl<T: Content> Created<T> {
    /// The answer to a command that is done.
    pub(crate) fn of(done: Done<T>) -> Self {
        Self { repeated: done.repeated, command: Command::of(done, |body| body) }
    }
}

impl<T: Content> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = self.command.into_response();
        if self.repeated {
            response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        }
        response
    }
}

impl<T: Content> ApiResponse for Created<T> {
    fn meta() -> MetaResponses {
        let about = "`true` if this had been done before under the same key and is the first result again.";
        let replayed = header(REPLAYED_HEADER, about, false, MetaSchema::new("boolean"));
        meta::<T>(201, vec![position_header(), replayed])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// The error statuses that one operation has, beside those that follow from its parts (see `document`).
pub(crate) trait Statuses: Send + Sync + 'static {
    /// In ascending order.
    const LIST: &'static [u16];
}

/// Names the error statuses of an operation.
macro_rules! statuses {
    ($($(#[doc = $doc:literal])+ $name:ident: $($status:literal)*;)+) => {
        $(
            $(#[doc = $doc])+
            pub(crate) struct $name;

            impl $crate::http::answer::Statuses for $name {
                const LIST: &'static [u16] = &[$($status),*];
            }
        )+
    };
}
pub(crate) use statuses;

/// Why an operation failed; `S` says with which statuses it may.
pub(crate) struct Failure<S>(Problem, PhantomData<fn() -> S>);

impl<S: Statuses, E: Into<Problem>> From<E> for Failure<S> {
    fn from(error: E) -> Self {
        Self(error.into(), PhantomData)
    }
}

impl<S: Statuses> From<Failure<S>> for poem::Error {
    fn from(failure: Failure<S>) -> Self {
        failure.0.into()
    }
}

impl<S: Statuses> ApiResponse for Failure<S> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: S::LIST.iter().map(|status| problem_meta(*status)).collect() }
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Problem, _>(PROBLEM.to_owned(), |_| problem_schema());
    }
}

/// How an error status is documented.
pub(super) fn problem_meta(status: u16) -> MetaResponse {
    let description = match status {
        400 => "The request is malformed, or a part of it is out of range.",
        401 => "Who asks is not known, or no longer.",
        403 => "Who asks may not do this.",
        404 => "What is named does not exist.",
        409 => "Something else has what is wanted; or the idempotency key was used for something else.",
        413 => "The body is too long.",
        415 => "The body is not JSON.",
        422 => "A rule, named by `code`, says no.",
        429 => "Tried too often; try later.",
        500 => "A bug. The request id tells us which.",
        503 => "Too much at once, or something this needs is not there now; try later.",
        _ => "An error.",
    };
    let headers = match status {
        401 => vec![header("WWW-Authenticate", "RFC 6750.", true, MetaSchema::new("string"))],
        429 | 503 => {
            let about = "Seconds to wait before trying again.";
            vec![header("Retry-After", about, status == 429, whole(1, u64::from(u32::MAX)))]
        }
        _ => Vec::new(),
    };
    let schema = MetaSchemaRef::Reference(PROBLEM.to_owned());
    let content = vec![MetaMediaType { content_type: problem::CONTENT_TYPE, schema }];
    MetaResponse { description, status: Some(status), status_range: None, content, headers }
}

fn problem_schema() -> MetaSchema {
    let text = |example: &str| inline(string(None, example));
    let field = inline(object(
        "A part of the request that is wrong.",
        vec![
            (
                "field",
                text("body"),
                "Name of the field, parameter or header; `body` for the whole body.",
                true,
            ),
            ("detail", text("must not be blank"), "What is wrong with it, for people.", true),
        ],
    ));
    let errors = MetaSchema {
        items: Some(Box::new(field)),
        max_items: Some(problem::ERRORS_MAX),
        ..MetaSchema::new("array")
    };
    let uri = string(Some("uri-reference"), "/problems/room_not_found");
    object(
        "An error, as of RFC 9457.",
        vec![
            ("type", inline(uri), "Names the problem; ends in `code`.", true),
            ("title", text("Room not found"), "The same for all problems of a type.", true),
            ("status", inline(whole(400, 599)), "The HTTP status.", true),
            ("detail", text("there is no such room"), "A sentence for people; not for a 500.", false),
            ("code", text("room_not_found"), "Stable name of the reason, for programs.", true),
            (
                "request_id",
                text("0198c2f6-1d2e-7b1c-a5d0-9b1f2f3c4d5e"),
                "Names this request in our logs.",
                true,
            ),
            ("errors", inline(errors), "The parts of the request that are wrong.", false),
        ],
    )
}
