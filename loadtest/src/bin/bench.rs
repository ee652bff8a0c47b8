//! `bench`: the project's figures beside their targets. See `verbatim_loadtest::bench`.
#![expect(clippy::print_stdout, reason = "its table goes to stdout")]

use clap::Parser;
use std::process::ExitCode;
use verbatim_loadtest::bench::{Options, json as figures_json, run, table};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let json = options.json.clone();
    let outcome = match run(options, |line| eprintln!("{line}")).await {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", table(&outcome.figures));
    if let Some(path) = json {
        let text = format!("{:#}\n", figures_json(&outcome.figures));
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("bench: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    outcome.failures.iter().for_each(|failure| println!("FAILED {failure}"));
    if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
