//! The real binary, killed at random moments under load: nothing is lost, doubled, reordered or miscounted.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::binary;
use verbatim_loadtest::oracle::{Config, run};

/// `VERBATIM_KILL_ROUNDS` makes it shorter. "soak" in the name gives it the time and the cores, see .config/nextest.toml.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_nothing_is_lost_when_the_server_is_killed() {
    let rounds = std::env::var("VERBATIM_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    // Another seed every time finds more over the weeks; a failure names it, so that it can be tried again.
    let seed = std::env::var("VERBATIM_KILL_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let report = run(Config { rounds, seed, ..Config::new(binary()) }).await.unwrap();
    let shown: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "seed {seed}, kept in {:?}:\n{}", report.folder, shown.join("\n"));
    let totals = report.totals();
    assert!(totals.kills + totals.stops >= u64::from(rounds) && totals.acknowledged > 0, "{totals:?}");
}
