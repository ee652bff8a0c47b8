//! `stompbench`: load generator for any STOMP-over-WebSocket server. See `verbatim_loadtest::stompbench`.
#![expect(clippy::print_stdout, reason = "its report goes to stdout")]

use clap::Parser;
use std::process::ExitCode;
use verbatim_loadtest::stompbench::{Args, run};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let json = args.json.clone();
    let summary = match run(args, |line| println!("{line}")).await {
        Ok(summary) => summary,
        Err(error) => {
            eprintln!("stompbench: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&summary).unwrap_or_default();
        if let Err(error) = std::fs::write(&file, text) {
            eprintln!("stompbench: {file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
