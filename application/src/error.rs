//! The one error type that leaves a use case. Each transport maps it in one place, by its [`ErrorClass`].

use std::{borrow::Cow, fmt::Write, time::Duration};
use verbatim_domain::{ErrorKind, Rejection, text::TextError};

/// Most causes of one error that [`causes`] spells out.
const CAUSES_MAX: usize = 8;

/// How the client is to take an error. Transports match on it exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request is malformed or a field is out of range.
    Invalid,
    /// Who asks is not known, or no longer.
    Unauthenticated,
    /// Who asks may not do this.
    Forbidden,
    /// What is named does not exist.
    NotFound,
    /// Something else has what is wanted, or changed meanwhile.
    Conflict,
    /// A rule of the domain, named by the code, says no.
    Rejected,
    /// More bytes than this takes.
    TooLarge,
    /// Too much at once, from all clients together; try later.
    Overloaded,
    /// This client tried too often; try later.
    Limited,
    /// Something this needs is not there now; try later.
    Unavailable,
    /// A bug. The client sees a request id and nothing else.
    Internal,
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name as in the request.
    pub field: &'static str,
    /// What is wrong with it, for people.
    pub detail: String,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct AppError {
    /// How to take it.
    pub class: ErrorClass,
    /// Stable snake_case name of the reason.
    pub code: &'static str,
    /// A sentence for people. Never holds what the client did not say itself.
    pub detail: Cow<'static, str>,
    /// The fields that are wrong, for [`ErrorClass::Invalid`].
    pub fields: Vec<FieldError>,
    /// When to try again, for [`ErrorClass::Overloaded`] and [`ErrorClass::Unavailable`].
    pub retry_after: Option<Duration>,
    /// What lies beneath; logged, never shown.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// When a client is told to come back after an overload or outage, unless something better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

impl AppError {
    /// An error with a class, a code and a sentence.
    #[must_use]
    pub fn new(class: ErrorClass, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after =
            matches!(class, ErrorClass::Overloaded | ErrorClass::Unavailable).then_some(RETRY_AFTER);
        Self { class, code, detail: detail.into(), fields: Vec::new(), retry_after, source: None }
    }

    /// One field is wrong.
    #[must_use]
    pub fn field(field: &'static str, detail: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorClass::Invalid, "invalid_field", "the request has an invalid field");
        error.fields.push(FieldError { field, detail: detail.into() });
        error
    }

    /// A text field is wrong.
    pub fn text(field: &'static str) -> impl FnOnce(TextError) -> Self {
        move |error| Self::field(field, error.to_string())
    }

    /// Something this needs is not there now.
    #[must_use]
    pub fn unavailable(
        detail: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { source: Some(source.into()), ..Self::new(ErrorClass::Unavailable, "unavailable", detail) }
    }

    /// A bug or a broken invariant.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "something went wrong here; the request id tells us what";
        Self { source: Some(source.into()), ..Self::new(ErrorClass::Internal, "internal", detail) }
    }

    /// The one who asks is not known.
    #[must_use]
    pub fn unauthenticated(code: &'static str, detail: &'static str) -> Self {
        Self::new(ErrorClass::Unauthenticated, code, detail)
    }
}

impl<R: Rejection> From<R> for AppError {
    fn from(rejection: R) -> Self {
        let class = match rejection.kind() {
            ErrorKind::Invalid => ErrorClass::Invalid,
            ErrorKind::Forbidden => ErrorClass::Forbidden,
            ErrorKind::NotFound => ErrorClass::NotFound,
            ErrorKind::Conflict => ErrorClass::Conflict,
            ErrorKind::Rejected => ErrorClass::Rejected,
        };
        Self::new(class, rejection.code(), rejection.to_string())
    }
}

/// An error with its causes, on one line.
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        // Writing to a string does not fail.
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failed(u32, #[source] Option<Box<Self>>);

    #[test]
    fn an_error_is_told_with_its_causes_up_to_a_limit() {
        let chain = |length| (1..length).fold(Failed(0, None), |cause, n| Failed(n, Some(Box::new(cause))));
        assert_eq!(causes(&chain(1)), "0");
        assert_eq!(causes(&chain(3)), "2: 1: 0");
        assert_eq!(causes(&chain(100)).split(": ").count(), 1 + CAUSES_MAX);
        let error = AppError::unavailable("can't be read now", chain(2));
        assert_eq!(causes(&error), "can't be read now: 1: 0");
    }
}
