//! What every request passes, from the outside in: a name and a line in the log ([`observe`]), headers for browsers
//! ([`security`], [`cors`]), errors turned into problem documents ([`problems`]). Limits on time and number stand at the
//! routes themselves ([`super::resource`]).

mod cors;
mod observe;
mod problems;
mod security;

pub(super) use cors::Cors;
pub use observe::{HttpObserver, RequestId};
pub(super) use observe::{Observe, Template, label, note_message, note_route};
use problems::Failure;
pub(super) use problems::{Problems, panicked};
pub(super) use security::{Policy, SecurityHeaders};
