//! The command line of INTERFACE.md.

mod events;
mod import;
mod members;
mod projections;

use crate::{
    config::Given,
    serve,
    wiring::{self, Failure},
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use verbatim_observability::{Options, Output, SpanOptions, export_spans};

/// An event-sourced chat backend.
#[derive(Debug, Parser)]
#[command(name = "verbatim", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    given: Given,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole service (also what no command at all does)
    Serve,
    /// Creates or upgrades the schemas of event log and read models
    Migrate,
    /// Looks at, rebuilds and verifies the projections, while the service runs or not
    #[command(subcommand)]
    Projections(projections::Command),
    /// Reads the event log by position
    #[command(subcommand)]
    Events(events::Command),
    /// Turns conversations, one message a line, into commands; safe to run twice
    Import(import::Arguments),
    /// Changes what a member may do
    #[command(subcommand)]
    Members(members::Command),
    /// Prints the OpenAPI document
    Openapi,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

/// A failure and what lies beneath, on one line.
fn report(failure: &Failure) {
    let mut text = failure.to_string();
    let mut source = std::error::Error::source(failure);
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    #[expect(
        clippy::print_stderr,
        reason = "the last word of a command goes to its user, whatever is logged"
    )]
    {
        eprintln!("verbatim: {text}");
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    if let Some(Command::Openapi) = cli.command {
        print(crate::http::openapi_document().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let config = cli.given.resolve()?;
    let serving = matches!(cli.command, None | Some(Command::Serve));
    // Only the service logs what goes well: a command prints its result.
    let filter = config.log.as_deref().or(if serving { None } else { Some("warn") });
    let output = if serving { Output::of_service() } else { Output::of_command() };
    // A command beside the service would put the service's file aside under its hands.
    let file = config.log_file.clone().filter(|_| serving);
    let options = Options { name: "verbatim", node: &config.node, filter, output, file };
    let _logging = verbatim_observability::init(options)?;
    let spans = config.spans.as_ref().filter(|_| serving).map(|(endpoint, sample)| SpanOptions {
        name: "verbatim",
        node: &config.node,
        endpoint,
        sample: *sample,
    });
    let _exporting = spans.as_ref().map(export_spans).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::io)?;
    let code = runtime.block_on(async {
        match cli.command {
            None | Some(Command::Serve) => serve::serve(config).await,
            Some(Command::Migrate) => {
                let place = wiring::migrate(&config).await?;
                print(&format!("the schemas in {place} are up to date"));
                Ok(ExitCode::SUCCESS)
            }
            Some(Command::Projections(command)) => projections::run(&config, command).await,
            Some(Command::Events(command)) => events::run(&config, command).await,
            Some(Command::Import(arguments)) => import::run(&config, &arguments).await,
            Some(Command::Members(command)) => members::run(&config, command).await,
            Some(Command::Openapi) => Ok(ExitCode::SUCCESS),
        }
    });
    // Blocking work that is still under way (a password hash) must not hold the exit up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// Prints a line of a command's result; a reader that has gone is no failure.
fn print(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
