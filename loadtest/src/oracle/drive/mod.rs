//! The clients, the killing and the rounds.

mod churner;
mod journal;
mod reader;
mod sender;
mod session;
mod settle;
mod subscriber;
mod torment;
mod verify;
mod watcher;
mod world;

use super::check::check;
use super::observed::Observed;
use super::{Config, Report, Round, Violation};
use crate::Error;
use crate::process::Launch;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use torment::Single;
use world::World;

pub use torment::{Moment, Stops, Torment};

/// All followers are listening within this.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);

/// Torments the server and reports what it broke.
///
/// # Errors
/// The run could not be carried out; see [`Error`].
pub async fn run(config: Config) -> Result<Report, Error> {
    run_with(config, |_| {}).await
}

/// [`run`], telling of each round when it is over.
///
/// # Errors
/// As `run`.
pub async fn run_with(config: Config, mut on_round: impl FnMut(&Round)) -> Result<Report, Error> {
    let (folder, temporary) = match &config.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
            (folder.clone(), None)
        }
        None => {
            let temporary =
                TempDir::with_prefix("verbatim-oracle-").map_err(Error::io("temporary folder"))?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let mut report = Report::default();
    let outcome = single(config, &folder, &mut report, &mut on_round).await;
    if outcome.is_err() || !report.violations.is_empty() || temporary.is_none() {
        report.folder = Some(temporary.map_or(folder, TempDir::keep));
    }
    match outcome {
        Ok(()) => Ok(report),
        Err(error) => {
            let folder = report.folder.unwrap_or_default();
            Err(Error::Setup(format!("{error} (data and server log are in {})", folder.display())))
        }
    }
}

/// Lets clients work against a service that runs already, which they reach as `launch` says, while `torment` does to
/// it what it does.
///
/// # Errors
/// As [`run`].
pub async fn run_against(
    config: Config,
    launch: Launch,
    torment: &mut impl Torment,
    mut on_round: impl FnMut(&Round),
) -> Result<Report, Error> {
    let mut report = Report::default();
    rounds(config, launch, torment, &mut report, &mut on_round).await?;
    Ok(report)
}

async fn single(
    config: Config,
    folder: &Path,
    report: &mut Report,
    on_round: &mut impl FnMut(&Round),
) -> Result<(), Error> {
    let launch = Launch::new(&config.binary, folder)?;
    let server = launch.start(config.start_limit).await?;
    let (kill, start_limit) = (config.kill, config.start_limit);
    let mut torment =
        Single { launch: launch.clone(), server: Some(server), kill, start_limit, stops: Stops::default() };
    rounds(config, launch, &mut torment, report, on_round).await
}

async fn rounds(
    config: Config,
    launch: Launch,
    torment: &mut impl Torment,
    report: &mut Report,
    on_round: &mut impl FnMut(&Round),
) -> Result<(), Error> {
    let world = Arc::new(World::create(config, launch).await?);
    // Dropping the set aborts the followers.
    let mut followers = JoinSet::new();
    listen(&world, &mut followers).await?;
    for number in 1..=world.config.rounds {
        let began = Instant::now();
        world.renew_tokens().await?;
        // A server that does not come back, stops answering or never finishes has broken a promise as well.
        let (survived, observed) = match one_round(&world, number, torment).await {
            Ok(()) => (true, settled(&world, number).await),
            Err(error) => {
                world.journal.incident(error.to_string());
                (false, Observed::default())
            }
        };
        let found = check(&world.journal.records(), &observed);
        let round = summary(&world, number, torment.stops(), found.len(), began.elapsed());
        on_round(&round);
        report.rounds.push(round);
        report.violations.extend(found);
        if !survived {
            return Ok(());
        }
        if !report.violations.is_empty() {
            break;
        }
    }
    drop(followers);
    report.violations.extend(torment.goodbye().await);
    let unique: BTreeSet<Violation> = report.violations.drain(..).collect();
    report.violations.extend(unique);
    Ok(())
}

/// What the server says when all is quiet; after the last round also what it says of itself.
async fn settled(world: &World, number: u32) -> Observed {
    let observed = settle::run(world, number).await;
    let verified = if number == world.config.rounds { verify::run(world).await } else { Ok(()) };
    if let Err(error) = verified {
        world.journal.incident(error.to_string());
    }
    observed.unwrap_or_else(|error| {
        world.journal.incident(error.to_string());
        Observed::default()
    })
}

/// Starts all that lasts for the whole run, and waits until the followers are listening.
async fn listen(world: &Arc<World>, followers: &mut JoinSet<()>) -> Result<(), Error> {
    let members = world.config.members;
    let (ready, mut listening) = mpsc::channel(1);
    for (index, place) in world.places.iter().enumerate() {
        // Three who stay in the room: the owner and the two after the one who comes and goes.
        let stable = |offset: usize| (place.churner + offset) % members;
        let (owner, ready) = (place.owner, ready.clone());
        followers.spawn(subscriber::over_stomp(world.clone(), owner, index, false, ready.clone()));
        followers.spawn(subscriber::over_stomp(world.clone(), stable(1), index, true, ready.clone()));
        followers.spawn(subscriber::over_sse(world.clone(), stable(2), index, ready));
    }
    for who in 0..members {
        followers.spawn(watcher::run(world.clone(), who));
    }
    drop(ready);
    let all = async { while listening.recv().await.is_some() {} };
    timeout(LISTEN_LIMIT, all).await.map_err(|_| Error::timeout("all followers listening", LISTEN_LIMIT))
}

/// Everybody works while the service is tormented under them.
async fn one_round(world: &Arc<World>, number: u32, torment: &mut impl Torment) -> Result<(), Error> {
    let mut clients = JoinSet::new();
    for who in 0..world.config.members {
        clients.spawn(sender::run(world.clone(), who, number));
        clients.spawn(reader::run(world.clone(), who, number));
    }
    for place in 0..world.places.len() {
        clients.spawn(churner::run(world.clone(), place, number));
    }
    let work = async {
        let limit = world.config.round_limit;
        let all = async {
            while let Some(ended) = clients.join_next().await {
                if let Err(error) = ended {
                    world.journal.incident(format!("a client of the oracle itself failed: {error}"));
                }
            }
        };
        timeout(limit, all).await.map_err(|_| Error::timeout(format!("the end of round {number}"), limit))
    };
    let moment = Moment::new(world, number);
    // If the service does not come back, nobody's work will end.
    tokio::try_join!(work, torment.torment(&moment))?;
    Ok(())
}

fn summary(world: &World, number: u32, stops: Stops, violations: usize, took: Duration) -> Round {
    let records = world.journal.records();
    let count =
        |is: fn(&super::records::Send) -> bool| records.sends.iter().filter(|send| is(send)).count() as u64;
    Round {
        number,
        acknowledged: count(|send| !send.acks.is_empty()),
        unanswered: count(|send| send.acks.is_empty() && !send.refused),
        refused: count(|send| send.refused),
        deliveries: records.subscribers.iter().map(|subscriber| subscriber.deliveries.len() as u64).sum(),
        kills: stops.kills,
        stops: stops.polite,
        violations,
        took,
    }
}
