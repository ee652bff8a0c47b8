//! Killing the server at a random moment and bringing it back.

use super::world::World;
use crate::Error;
use crate::process::Server;
use rand::Rng;
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

/// What was done to the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stops {
    pub(super) kills: u64,
    pub(super) polite: u64,
}

/// Stops the server at a random moment of the round and starts it again; answers the new one.
///
/// # Errors
/// It did not come back.
pub(super) async fn run(
    world: &World,
    mut server: Server,
    round: u32,
    stops: &mut Stops,
) -> Result<Server, Error> {
    let mut rng = world.rng(round, 4000);
    let before = world.journal.records().sends.len();
    let share = rng.random_range(0..=world.config.members * world.config.sends as usize);
    let reached = world.journal.until(|records| records.sends.len() >= before + share);
    timeout(MAX_DELAY, reached).await.ok();
    sleep(Duration::from_micros(rng.random_range(0..=MAX_JITTER_US))).await;
    world.set_up(false);
    if rng.random_range(0..100) < POLITE_PERCENT {
        stops.polite += 1;
        match server.terminate(STOP_LIMIT).await {
            Ok(status) if status.success() => {}
            other => world.journal.incident(format!("SIGTERM did not end in exit 0: {other:?}")),
        }
    } else {
        stops.kills += 1;
        server.kill().await?;
    }
    server = world.launch.spawn()?;
    if rng.random_range(0..100) < AGAIN_PERCENT {
        sleep(Duration::from_millis(rng.random_range(0..=MAX_AGAIN_MS))).await;
        stops.kills += 1;
        server.kill().await?;
        server = world.launch.spawn()?;
    }
    server.ready(world.config.start_limit).await?;
    world.set_up(true);
    Ok(server)
}
