//! What the black-box tests of REST and operations share: calls, answers that are checked as they are taken, people.

#![allow(dead_code, reason = "two test binaries share this, and neither uses all of it")]

mod answer;
mod call;
mod people;
mod raw;

pub use answer::Answer;
pub use call::{Api, Call};
pub use people::{Room, User};
pub use raw::raw;

use std::time::Duration;

/// How long any one thing that a test waits for may take. Far above what it takes: the machine may be busy.
pub const LIMIT: Duration = Duration::from_secs(60);
