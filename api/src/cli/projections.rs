//! `verbatim projections`: the operators' verbs.

use crate::{
    config::Config,
    verbs::Verbs,
    wiring::{self, Failure},
};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use verbatim_projections::{Difference, Progress, Stage};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Names of all projections and where they are
    List(Output),
    /// Name, version, checkpoint, log head, lag and last error of each
    Status(Output),
    /// Fills a new version beside the live one, then switches to it; reads and writes go on
    Rebuild(Selection),
    /// Compares the live version with one folded from the log; exit code 1 if they differ
    Verify(Selection),
    /// Goes back to the previous version
    Rollback {
        /// Name of the projection
        name: String,
    },
    /// Frees the previous version
    DropOld {
        /// Name of the projection
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Names of projections
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

impl Selection {
    fn names(self, verbs: &Verbs) -> Vec<String> {
        if self.all { verbs.names().into_iter().map(str::to_owned).collect() } else { self.names }
    }
}

/// A bar with rate and time to go, on a terminal; nothing elsewhere.
pub(super) fn bar(unit: &str) -> ProgressBar {
    let template =
        format!("{{msg:12}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}  {{per_sec}}  {{eta}} to go");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style)
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_message(match progress.stage {
        Stage::Fill => "folding",
        Stage::Compare => "comparing",
    });
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}

pub(super) async fn run(config: &Config, command: Command) -> Result<ExitCode, Failure> {
    let log = wiring::open_log(config).await?;
    let verbs = wiring::open_verbs(config, log).await?;
    match command {
        Command::List(output) | Command::Status(output) => status(&verbs, output.json).await?,
        Command::Rebuild(selection) => {
            let names = selection.names(&verbs);
            let bar = bar("events");
            let started = std::time::Instant::now();
            let mut read = 0;
            verbs
                .rebuild(&names, &mut |progress| {
                    read = progress.done;
                    show(&bar, progress);
                })
                .await?;
            bar.finish_and_clear();
            let seconds = started.elapsed().as_secs_f64();
            super::print(&format!(
                "rebuilt {}: {read} events in {seconds:.2} s, {:.0} events/s",
                names.join(", "),
                read as f64 / seconds.max(f64::EPSILON),
            ));
        }
        Command::Verify(selection) => {
            let names = selection.names(&verbs);
            let bar = bar("");
            let mut on_difference = |difference: Difference| super::print(&difference.to_string());
            let verified =
                verbs.verify(&names, &mut |progress| show(&bar, progress), &mut on_difference).await?;
            bar.finish_and_clear();
            super::print(&format!(
                "{}: {} rows compared as of position {}, {} differ",
                names.join(", "),
                verified.rows,
                verified.position,
                verified.differences,
            ));
            return Ok(if verified.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Rollback { name } => {
            verbs.rollback(&name, &mut |_| {}).await?;
            status(&verbs, false).await?;
        }
        Command::DropOld { name } => {
            verbs.drop_old(&name).await?;
            status(&verbs, false).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(verbs: &Verbs, json: bool) -> Result<(), Failure> {
    let all = verbs.status().await?;
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|one| {
                serde_json::json!({
                    "name": one.name,
                    "version": one.active_version,
                    "schema_version": one.schema_version,
                    "checkpoint": one.position,
                    "head": one.head,
                    "lag": one.lag,
                    "previous_version": one.previous_version,
                    "updated_at": one.updated_at,
                    "last_error": one.last_error,
                })
            })
            .collect();
        super::print(&serde_json::Value::from(rows).to_string());
        return Ok(());
    }
    super::print(&format!(
        "{:<18} {:>7} {:>9} {:>12} {:>12} {:>8}  last error",
        "name", "version", "previous", "checkpoint", "head", "lag"
    ));
    for one in all {
        super::print(&format!(
            "{:<18} {:>7} {:>9} {:>12} {:>12} {:>8}  {}",
            one.name,
            one.active_version,
            one.previous_version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            one.position,
            one.head,
            one.lag,
            one.last_error.as_deref().unwrap_or("-"),
        ));
    }
    Ok(())
}
