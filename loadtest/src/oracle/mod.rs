//! Truth from the outside: drives a real server through crashes and compares everything that it ever promised with
//! what it says afterwards.
//!
//! [`records`] is what the clients did and were told, [`observed`] what the server says at the end, [`check`] the pure
//! model that compares the two, [`drive`] the clients, the killing and the rounds.

pub mod check;
mod config;
pub mod drive;
pub mod observed;
pub mod records;
mod violation;

pub use config::{Config, Report, Round};
pub use drive::{Moment, Stops, Torment, run, run_against, run_with};
pub use violation::Violation;
