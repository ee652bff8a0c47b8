//! The command line of `bench`.

use crate::Error;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures verbatim against its targets, and against limitserver where there is a yardstick.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// which scenarios; all if none is named
    pub scenarios: Vec<Scenario>,
    /// folder of `verbatim`, `limitserver` and `stompbench`; by default the one this binary is in
    #[arg(long)]
    pub bin_dir: Option<PathBuf>,
    /// where the temporary data folders go; a disk, not a tmpfs, or fsync costs nothing
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// runs of each server in each scenario; medians are compared
    #[arg(long, default_value_t = 3)]
    pub repeat: usize,
    /// accounts that share the connections
    #[arg(long, default_value_t = 16)]
    pub members: usize,
    /// messages in the deep room
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// conversations to import, one JSON object a line (`room`, `sender`, `body`, `sent_at`); by default made-up ones
    /// in the number and shape of the chitchat corpus
    #[arg(long)]
    pub corpus: Option<PathBuf>,
    /// a twentieth of the work and one run each: whether all works, not how fast it is
    #[arg(long)]
    pub quick: bool,
    /// of `cluster`, only the part whose name contains this: `latency`, `hot room`, `chat` or `rebuild`
    #[arg(long, default_value = "")]
    pub only: String,
    /// also write the figures to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 8 senders over 100 rooms with 200 subscribers, every message in the log before its receipt
    Durable,
    /// one room with 100, then with 1,000 subscribers
    Fanout,
    /// 2,000 messages a second over 100 rooms: send to delivery
    Latency,
    /// memory of 5,000 subscribed connections with nothing to do
    Idle,
    /// cost of a send in a room of 10,000 members, and of 10
    Members,
    /// durable chat with a log file and a scrape each second, and with neither
    Observability,
    /// conversations imported
    Import,
    /// a page of 50 messages 1,000,000 back, and 1,000 back
    History,
    /// all read models folded anew from the log
    Rebuild,
    /// from the start of the process to ready, with a long log
    Startup,
    /// PostgreSQL, MariaDB and Redis: durable chat, latency across two nodes, one hot room from two nodes, rebuild
    Cluster,
}

/// By how much `--quick` shrinks the work.
const QUICK: usize = 20;

impl Options {
    pub(super) fn checked(mut self) -> Result<Self, Error> {
        if self.quick {
            self.repeat = 1;
            self.events /= QUICK as u64;
        }
        if self.repeat == 0 || self.members < 2 || self.events < 2_000 {
            return Err(Error::Setup("at least 1 run, 2 members and 2,000 events are needed".into()));
        }
        Ok(self)
    }

    /// Whether a scenario is to run.
    pub fn chosen(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }

    pub(super) fn any_of(&self, scenarios: &[Scenario]) -> bool {
        scenarios.iter().any(|scenario| self.chosen(*scenario))
    }

    /// A number of messages, or what `--quick` makes of it.
    pub(super) fn amount(&self, full: usize) -> usize {
        if self.quick { full / QUICK } else { full }
    }

    pub(super) fn idle_connections(&self) -> usize {
        self.amount(5000)
    }

    /// Path of one of the binaries.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn binary(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = match &self.bin_dir {
            Some(folder) => folder.clone(),
            None => {
                let here = std::env::current_exe().map_err(Error::io("own path"))?;
                here.parent().map(PathBuf::from).unwrap_or_default()
            }
        };
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::Setup(format!("{} is missing: `make bench` builds it", path.display())))
    }
}
