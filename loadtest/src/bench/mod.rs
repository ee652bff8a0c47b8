//! `make bench`: the figures that the project promises, each beside its target, measured on the release binaries.
//!
//! Scenarios with a yardstick run `limitserver` and `verbatim` in turn, several times, and compare medians: on a
//! shared machine the two then have the same luck.

mod chat;
mod cluster;
mod crowd;
mod deep;
mod figure;
mod imports;
mod observability;
mod options;
mod runner;
mod setup;

pub use figure::{Figure, Target, json, table};
pub use options::{Options, Scenario};

use crate::Error;
use crate::process::lift_open_files;

/// All that was measured, and what could not be.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The figures, in the order of the scenarios.
    pub figures: Vec<Figure>,
    /// Scenarios that could not be carried out, and why.
    pub failures: Vec<String>,
}

impl Outcome {
    fn add(&mut self, what: &str, result: Result<Figure, Error>) {
        match result {
            Ok(figure) => self.figures.push(figure),
            Err(error) => self.failures.push(format!("{what}: {error}")),
        }
    }
}

/// Runs the chosen scenarios one after the other; `say` gets lines of progress.
///
/// # Errors
/// A binary is missing or the options make no sense. What falls short of its target is no error, and a scenario that
/// fails does not keep the others from running.
pub async fn run(options: Options, mut say: impl FnMut(String)) -> Result<Outcome, Error> {
    let files = lift_open_files()?;
    let options = options.checked()?;
    if options.chosen(Scenario::Idle) && files < 2 * options.idle_connections() as u64 {
        say(format!("only {files} open files are allowed here: `idle` will fall short"));
    }
    let mut outcome = Outcome::default();
    let chat = [Scenario::Durable, Scenario::Fanout, Scenario::Latency, Scenario::Idle];
    if options.any_of(&chat)
        && let Err(error) = chat::run(&options, &mut outcome, &mut say).await
    {
        outcome.failures.push(format!("chat: {error}"));
    }
    if options.chosen(Scenario::Members) {
        outcome.add("members", crowd::run(&options, &mut say).await);
    }
    if options.chosen(Scenario::Observability) {
        outcome.add("observability", observability::run(&options, &mut say).await);
    }
    if options.chosen(Scenario::Import) {
        outcome.add("import", deep::corpus(&options, &mut say).await);
    }
    if options.any_of(&[Scenario::History, Scenario::Rebuild, Scenario::Startup])
        && let Err(error) = deep::run(&options, &mut outcome, &mut say).await
    {
        outcome.failures.push(format!("deep: {error}"));
    }
    if options.chosen(Scenario::Cluster)
        && let Err(error) = cluster::run(&options, &mut outcome, &mut say).await
    {
        outcome.failures.push(format!("cluster: {error}"));
    }
    Ok(outcome)
}
