//! Time and randomness, passed in so that tests can set them.

use uuid::Uuid;
use verbatim_domain::Timestamp;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Now, cut to microseconds.
    fn now(&self) -> Timestamp;
}

/// Where new ids come from.
pub trait IdGenerator: Send + Sync + 'static {
    /// A new UUIDv7 (RFC 9562 section 5.7).
    fn next(&self) -> Uuid;
}
