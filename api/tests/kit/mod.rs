//! What the black-box tests of REST and operations share: calls, answers that are checked as they are taken, people.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "two test binaries share this, and neither uses all of it"
)]

mod answer;
mod call;
pub mod cli;
mod people;
mod raw;

pub use answer::Answer;
pub use call::{Api, Call};
pub use people::{Room, User};
pub use raw::raw;

use crate::common::{App, Setup};
use std::time::Duration;

/// How long any one thing that a test waits for may take. Far above what it takes: the machine may be busy.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A server with an empty data folder.
pub async fn start() -> (App, Api) {
    start_with(&[]).await
}

/// A server with an empty data folder and these settings in its environment.
pub async fn start_with(settings: &[(&str, &str)]) -> (App, Api) {
    let setup = settings.iter().fold(Setup::default(), |setup, (name, value)| setup.environment(name, value));
    let app = setup.start().await;
    let api = Api::new(&app.server.base());
    (app, api)
}

/// Stops a server in order and starts it again on the same data.
pub async fn restart(app: &mut App) -> Api {
    app.restart().await;
    Api::new(&app.server.base())
}
