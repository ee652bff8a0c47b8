//! What is done to the service while everybody is at work.

use super::world::World;
use crate::Error;
use crate::oracle::Violation;
use crate::process::{Launch, Server};
use rand::Rng;
use rand::rngs::StdRng;
use std::future::Future;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The moment comes when a random share of the round's messages has been sent, so that it falls into the work on a fast
/// server and on a slow one; but this far into the round at the latest.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// And a little later, in microseconds, so that it falls between sends as well as after them.
const MAX_JITTER_US: u64 = 20_000;
/// Of a hundred stops, so many are a polite SIGTERM.
const POLITE_PERCENT: u32 = 15;
/// Of a hundred restarts, so many are killed again while they are still starting.
const AGAIN_PERCENT: u32 = 30;
/// How far into the start that is at most, in milliseconds.
const MAX_AGAIN_MS: u64 = 150;
/// A polite stop may take this long.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stops {
    /// SIGKILLs, cut lines and the like.
    pub kills: u64,
    /// Graceful stops.
    pub polite: u64,
}

/// Torments a service.
pub trait Torment: Send {
    /// Once in each round, while the clients are at work. Comes back when the service is whole again.
    ///
    /// # Errors
    /// It does not come back; the run ends there, as a violation.
    fn torment(&mut self, moment: &Moment<'_>) -> impl Future<Output = Result<(), Error>> + Send;

    /// What was done so far.
    fn stops(&self) -> Stops;

    /// After the last round: ends the service if it should be ended, and says what is wrong with how it ends.
    fn goodbye(&mut self) -> impl Future<Output = Vec<Violation>> + Send;
}

/// A round that is under way.
#[derive(Debug)]
pub struct Moment<'a> {
    world: &'a World,
    round: u32,
}

impl<'a> Moment<'a> {
    pub(super) fn new(world: &'a World, round: u32) -> Self {
        Self { world, round }
    }

    /// Number of the round, from 1.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.round
    }

    /// Random choices of this round, the same for the same seed.
    #[must_use]
    pub fn rng(&self) -> StdRng {
        self.world.rng(self.round, 4000)
    }

    /// Waits for a random moment while messages are being sent.
    pub async fn comes(&self, rng: &mut StdRng) {
        let world = self.world;
        let before = world.journal.records().sends.len();
        let share = rng.random_range(0..=world.config.members * world.config.sends as usize);
        let reached = world.journal.until(|records| records.sends.len() >= before + share);
        timeout(MAX_DELAY, reached).await.ok();
        sleep(Duration::from_micros(rng.random_range(0..=MAX_JITTER_US))).await;
    }

    /// Waits until so many more messages have been begun, or `limit` is over.
    pub async fn passes(&self, more: usize, limit: Duration) {
        let before = self.world.journal.records().sends.len();
        let reached = self.world.journal.until(|records| records.sends.len() >= before + more);
        timeout(limit, reached).await.ok();
    }

    /// Tells the clients that nobody answers now, so that they wait and do not ask; or that it is over.
    pub fn set_up(&self, up: bool) {
        self.world.set_up(up);
    }

    /// Something is wrong whatever the history says.
    pub fn incident(&self, what: String) {
        self.world.journal.incident(what);
    }
}

/// One server, stopped at a random moment of each round and started again.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) launch: Launch,
    pub(super) server: Option<Server>,
    pub(super) kill: bool,
    pub(super) start_limit: Duration,
    pub(super) stops: Stops,
}

impl Torment for Single {
    async fn torment(&mut self, moment: &Moment<'_>) -> Result<(), Error> {
        let Some(server) = self.server.take_if(|_| self.kill) else { return Ok(()) };
        let mut rng = moment.rng();
        moment.comes(&mut rng).await;
        moment.set_up(false);
        if rng.random_range(0..100) < POLITE_PERCENT {
            self.stops.polite += 1;
            match server.terminate(STOP_LIMIT).await {
                Ok(status) if status.success() => {}
                other => moment.incident(format!("SIGTERM did not end in exit 0: {other:?}")),
            }
        } else {
            self.stops.kills += 1;
            server.kill().await?;
        }
        let mut server = self.launch.spawn()?;
        if rng.random_range(0..100) < AGAIN_PERCENT {
            sleep(Duration::from_millis(rng.random_range(0..=MAX_AGAIN_MS))).await;
            self.stops.kills += 1;
            server.kill().await?;
            server = self.launch.spawn()?;
        }
        self.server.insert(server).ready(self.start_limit).await?;
        moment.set_up(true);
        Ok(())
    }

    fn stops(&self) -> Stops {
        self.stops
    }

    /// The last stop is polite, and must be answered politely.
    async fn goodbye(&mut self) -> Vec<Violation> {
        let Some(server) = self.server.take() else { return Vec::new() };
        match server.terminate(STOP_LIMIT).await {
            Ok(status) if status.success() => Vec::new(),
            other => vec![Violation::Incident(format!("SIGTERM did not end in exit 0: {other:?}"))],
        }
    }
}
