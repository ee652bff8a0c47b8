//! What a run does, and what it found.

use super::Violation;
use std::path::PathBuf;
use std::time::Duration;

/// How to torment the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The `verbatim` binary.
    pub binary: PathBuf,
    /// Where its data folder and log go; a temporary folder, removed if nothing was found, when absent.
    pub folder: Option<PathBuf>,
    /// Rounds of work, each followed by a full check.
    pub rounds: u32,
    /// Whether the server is killed and restarted in each round.
    pub kill: bool,
    /// Of all random choices; the interleaving of tasks still differs from run to run.
    pub seed: u64,
    /// Members, at least 3.
    pub members: usize,
    /// Rooms, at least 1.
    pub rooms: usize,
    /// Messages that each member sends in a round, about.
    pub sends: u32,
    /// No single answer may take longer than this.
    pub call_limit: Duration,
    /// No round may take longer than this.
    pub round_limit: Duration,
    /// A call that is repeated until its outcome is known has one within this.
    pub give_up: Duration,
    /// A start of the server may take this long.
    pub start_limit: Duration,
    /// After the last message of a round is acknowledged, everyone has been sent everything within this.
    pub arrival_limit: Duration,
}

impl Config {
    /// Modest defaults: a round takes a second or two on a small machine.
    pub fn new(binary: PathBuf) -> Self {
        Self {
            binary,
            folder: None,
            rounds: 5,
            kill: true,
            seed: 1,
            members: 6,
            rooms: 3,
            sends: 40,
            call_limit: Duration::from_secs(10),
            round_limit: Duration::from_secs(90),
            give_up: Duration::from_secs(60),
            start_limit: Duration::from_secs(30),
            arrival_limit: Duration::from_secs(20),
        }
    }
}

/// One round, as it is reported.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// Messages acknowledged so far.
    pub acknowledged: u64,
    /// Sends so far that were never answered; each may be stored or not.
    pub unanswered: u64,
    /// Sends so far that were refused.
    pub refused: u64,
    /// Messages delivered to subscribers so far.
    pub deliveries: u64,
    /// SIGKILLs so far.
    pub kills: u64,
    /// Graceful stops so far.
    pub stops: u64,
    /// Violations found so far.
    pub violations: usize,
    /// How long the round took, check included.
    pub took: Duration,
}

/// The whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every round that was run; the run ends with the first that finds something.
    pub rounds: Vec<Round>,
    /// All that was found.
    pub violations: Vec<Violation>,
    /// Data folder and log, kept if something was found.
    pub folder: Option<PathBuf>,
}

impl Report {
    /// Totals, that is, the last round's.
    pub fn totals(&self) -> Round {
        self.rounds.last().cloned().unwrap_or_default()
    }
}
