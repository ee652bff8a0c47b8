//! The scenarios that `stompbench` runs on both servers in turn.

use super::Outcome;
use super::figure::{Figure, Target};
use super::options::{Options, Scenario};
use super::runner::{LimitServer, faults, stompbench, strings};
use super::setup::{Stand, fresh_folder};
use crate::Error;
use crate::ids::RoomId;
use crate::stompbench::Summary;

/// Rooms of the scenarios with many.
const ROOMS: usize = 100;
/// Seconds that idle connections are held.
const HOLD: usize = 10;

/// One way to run `stompbench`, and what counts in its summary.
struct Load {
    scenario: Scenario,
    name: &'static str,
    unit: &'static str,
    args: String,
    rooms: usize,
    measure: fn(&Summary) -> f64,
    target: Target,
    /// Memory is only comparable in a process that has done nothing else before.
    fresh: bool,
}

fn loads(options: &Options) -> Vec<Load> {
    let fanout = |name, subs: usize, messages: usize| Load {
        scenario: Scenario::Fanout,
        name,
        unit: "deliveries/s",
        args: format!("--dests 1 --subs {subs} --messages {}", options.amount(messages)),
        rooms: 1,
        measure: Summary::delivered_rate,
        target: Target::RatioAtLeast(0.5),
        fresh: false,
    };
    let many = format!("--dests {ROOMS} --subs 200 --pubs 8");
    let idle = options.idle_connections();
    vec![
        // First, in rooms where nothing was said: what it takes to read long rooms once is not what a connection takes.
        Load {
            scenario: Scenario::Idle,
            name: "idle connections",
            unit: "KiB each",
            args: format!("--dests {ROOMS} --subs {idle} --hold {}", options.amount(HOLD).max(1)),
            rooms: ROOMS,
            measure: |summary| summary.hold.map_or(0.0, |hold| hold.kib_each),
            target: Target::AtMost(16.0),
            fresh: true,
        },
        Load {
            scenario: Scenario::Durable,
            name: "durable chat",
            unit: "accepted/s",
            args: format!("{many} --window 32 --messages {}", options.amount(100_000)),
            rooms: ROOMS,
            measure: Summary::accepted_rate,
            target: Target::RatioAtLeast(0.2),
            fresh: false,
        },
        fanout("fan-out to 100", 100, 20_000),
        fanout("fan-out to 1,000", 1000, 2_000),
        Load {
            scenario: Scenario::Latency,
            name: "latency at 2,000 msg/s",
            unit: "p99 ms",
            args: format!("{many} --rate 2000 --messages {}", options.amount(20_000)),
            rooms: ROOMS,
            measure: |summary| summary.latency.p99,
            target: Target::AtMost(20.0),
            fresh: false,
        },
    ]
}

/// Runs those that are chosen.
pub(super) async fn run(
    options: &Options,
    outcome: &mut Outcome,
    say: &mut impl FnMut(String),
) -> Result<(), Error> {
    let mut stand = Stand::new(options, fresh_folder(options)?)?;
    stand.start().await?;
    say(format!("registering {} members, opening {ROOMS} rooms", options.members));
    stand.register(options.members).await?;
    let rooms = stand.open_rooms(ROOMS).await?;
    for load in loads(options).into_iter().filter(|load| options.chosen(load.scenario)) {
        let result = compare(options, &mut stand, &rooms, &load, say).await;
        outcome.add(load.name, result);
    }
    stand.stop().await
}

async fn compare(
    options: &Options,
    stand: &mut Stand,
    rooms: &[RoomId],
    load: &Load,
    say: &mut impl FnMut(String),
) -> Result<Figure, Error> {
    let own = strings(&load.args.split(' ').collect::<Vec<_>>());
    let (mut ours, mut theirs, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=options.repeat {
        let limit = LimitServer::start(options).await?;
        let summary = stompbench(options, stand.folder(), &[limit.args(), own.clone()].concat()).await?;
        limit.stop().await?;
        theirs.push((load.measure)(&summary));
        notes.extend(faults("limitserver", &summary));
        // Before the restart: argon2 takes 19 MiB a log-in, and what is left of that would hide the connections.
        stand.log_in().await?;
        if load.fresh {
            stand.stop().await?;
            stand.start().await?;
        }
        let args = stand.args(rooms.get(..load.rooms).unwrap_or(rooms))?;
        let summary = stompbench(options, stand.folder(), &[args, own.clone()].concat()).await?;
        ours.push((load.measure)(&summary));
        notes.extend(faults("verbatim", &summary));
        notes.push(describe(run, &summary));
        let (ours, theirs) = (ours.last().unwrap_or(&0.0), theirs.last().unwrap_or(&0.0));
        say(format!("{}: {ours:.1} {}, limitserver {theirs:.1}", load.name, load.unit));
    }
    Ok(Figure {
        name: load.name.to_owned(),
        unit: load.unit,
        runs: ours,
        comparison: Some(("limitserver", theirs)),
        target: load.target,
        command: format!("stompbench {}", load.args),
        notes,
    })
}

fn describe(run: usize, summary: &Summary) -> String {
    match summary.hold {
        Some(hold) => format!("run {run}: RSS {} -> {} KiB", hold.before_kib, hold.after_kib),
        None => format!(
            "run {run}: receipt p50 {:.2} p99 {:.2} ms, delivery p50 {:.2} p99 {:.2} ms, server cpu {:.2} s",
            summary.receipts.p50,
            summary.receipts.p99,
            summary.latency.p50,
            summary.latency.p99,
            summary.server_cpu_seconds
        ),
    }
}
