//! REST.

/// An application error as poem's.
#[must_use]
pub fn to_poem(error: verbatim_application::AppError) -> poem::Error {
    poem::Error::from_string(error.to_string(), poem::http::StatusCode::INTERNAL_SERVER_ERROR)
}
