//! `oracle`: kills `verbatim` under load, again and again, and says what it lost. See `verbatim_loadtest::oracle`.
#![expect(clippy::print_stdout, reason = "its report goes to stdout")]

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use verbatim_loadtest::oracle::{Config, Round, run_with};

/// Drives a verbatim server through crashes and checks from the outside that nothing was lost, doubled, reordered or
/// miscounted. Exit code 1 if anything was.
#[derive(Parser)]
struct Args {
    /// the verbatim binary; else target/release/verbatim or target/debug/verbatim, whichever is newer
    #[arg(long, env = "VERBATIM_BIN")]
    binary: Option<PathBuf>,
    /// keep data folder and server log here; else a temporary folder, kept only if something is found
    #[arg(long)]
    folder: Option<PathBuf>,
    /// rounds of work, each with a full check at its end
    #[arg(long, default_value_t = 25)]
    rounds: u32,
    /// stop the server at a random moment of each round, mostly by SIGKILL, and start it again
    #[arg(long)]
    kill: bool,
    /// of all random choices; by default a new one each time
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, default_value_t = 6)]
    members: usize,
    #[arg(long, default_value_t = 3)]
    rooms: usize,
    /// messages of each member in each round
    #[arg(long, default_value_t = 40)]
    sends: u32,
    /// seconds that a round may take
    #[arg(long, default_value_t = 90)]
    round_limit: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let Some(binary) = args.binary.or_else(verbatim_loadtest::process::find_binary) else {
        eprintln!(
            "oracle: no verbatim binary; build one with `cargo build -p verbatim-api`, or say --binary"
        );
        return ExitCode::from(2);
    };
    let config = Config {
        folder: args.folder,
        rounds: args.rounds,
        kill: args.kill,
        seed: args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        members: args.members,
        rooms: args.rooms,
        sends: args.sends,
        round_limit: Duration::from_secs(args.round_limit),
        ..Config::new(binary)
    };
    println!("oracle: {} with seed {}", config.binary.display(), config.seed);
    let report = match run_with(config, |round| println!("{}", line(round))).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("oracle: {error}");
            return ExitCode::from(2);
        }
    };
    for violation in &report.violations {
        println!("VIOLATION {violation}");
    }
    let total = report.totals();
    println!(
        "{} rounds: {} acknowledged, {} deliveries, {} kills, {} graceful stops, {} violations",
        report.rounds.len(),
        total.acknowledged,
        total.deliveries,
        total.kills,
        total.stops,
        report.violations.len()
    );
    if let Some(folder) = &report.folder {
        println!("data and server log: {}", folder.display());
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(round: &Round) -> String {
    format!(
        "round {:>3}: {} acknowledged, {} unanswered, {} refused, {} delivered, {} kills, {} stops, {} violations, {:.1} s",
        round.number,
        round.acknowledged,
        round.unanswered,
        round.refused,
        round.deliveries,
        round.kills,
        round.stops,
        round.violations,
        round.took.as_secs_f64()
    )
}
