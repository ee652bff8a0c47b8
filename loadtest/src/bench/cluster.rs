//! Cluster mode, everything on this one machine: nodes, PostgreSQL, MariaDB, Redis and the generator share its cores.

use super::Outcome;
use super::figure::{Figure, Target};
use super::imports::{self, CORPUS_MESSAGES};
use super::options::Options;
use super::runner::{faults, stompbench, strings};
use super::setup::{Stand, fresh_folder};
use crate::Error;
use crate::cluster::{Cluster, Plan};
use crate::ids::RoomId;
use crate::stompbench::Summary;
use std::process::Output;
use std::time::Duration;
use verbatim_servers::Postgres;

/// Rooms of the scenarios with many.
const ROOMS: usize = 100;
/// Rows of one insert of the yardstick, as many as an append of a busy bus.
const ROWS: usize = 256;
/// Seconds that pgbench inserts.
const PGBENCH_SECONDS: usize = 10;
/// An import or a rebuild may take this long.
const LIMIT: Duration = Duration::from_secs(1800);

/// Runs all of them.
pub(super) async fn run(
    options: &Options,
    outcome: &mut Outcome,
    say: &mut impl FnMut(String),
) -> Result<(), Error> {
    let mut cluster = Cluster::start(&options.binary("verbatim")?, Plan::bench(2)).await?;
    let [one, two] = &cluster.nodes[..] else { return Err(Error::Setup("two nodes are needed".into())) };
    let (first, second) = (one.launch.clone(), two.launch.ws());
    let mut stand = Stand::of(first, fresh_folder(options)?)?;
    say(format!("cluster: registering {} members, opening {ROOMS} rooms", options.members));
    stand.register(options.members).await?;
    let rooms = stand.open_rooms(ROOMS).await?;

    let wanted = |part: &str| part.contains(&options.only);
    if wanted("latency") {
        outcome.add("cluster latency", latency(options, &mut stand, &rooms, &second, say).await);
    }
    if wanted("hot room") {
        outcome.add("cluster hot room", hot_room(options, &mut stand, &rooms, &second, say).await);
    }
    // The other scenarios are about one node, which the second would only take cores from.
    if let Some(node) = cluster.nodes.get_mut(1) {
        node.stop().await?;
    }
    if wanted("chat") {
        outcome.add("cluster chat", durable(options, &mut stand, &rooms, &cluster, say).await);
    }
    if wanted("rebuild") {
        outcome.add("cluster rebuild", rebuild(options, &mut cluster, say).await);
    }
    for node in &mut cluster.nodes {
        node.stop().await?;
    }
    Ok(())
}

/// A thousand messages a second, sent to one node and delivered by the other.
async fn latency(
    options: &Options,
    stand: &mut Stand,
    rooms: &[RoomId],
    second: &str,
    say: &mut impl FnMut(String),
) -> Result<Figure, Error> {
    let args =
        format!("--dests {ROOMS} --subs 200 --pubs 8 --rate 1000 --messages {}", options.amount(20_000));
    let other = format!("{args} --pub-url {second}");
    let (runs, notes) = measure(options, stand, rooms, &other, |s| s.latency.p99, say).await?;
    Ok(Figure {
        name: "cluster: latency at 1,000 msg/s across two nodes".to_owned(),
        unit: "p99 ms",
        runs,
        comparison: None,
        target: Target::AtMost(40.0),
        command: format!("stompbench {args} --pub-url SECOND_NODE"),
        notes,
    })
}

/// Runs `stompbench` with these arguments as often as asked; answers the figure of each run, and what else was seen.
async fn measure(
    options: &Options,
    stand: &mut Stand,
    rooms: &[RoomId],
    args: &str,
    figure: fn(&Summary) -> f64,
    say: &mut impl FnMut(String),
) -> Result<(Vec<f64>, Vec<String>), Error> {
    let (mut runs, mut notes) = (Vec::new(), Vec::new());
    for _ in 0..options.repeat {
        stand.log_in().await?;
        let own = strings(&args.split(' ').collect::<Vec<_>>());
        let summary = stompbench(options, stand.folder(), &[stand.args(rooms)?, own].concat()).await?;
        runs.push(figure(&summary));
        notes.extend(faults("verbatim", &summary));
        notes.push(format!(
            "{:.0} accepted/s, receipt p50 {:.2} p99 {:.2} ms, delivery p50 {:.2} p99 {:.2} ms",
            summary.accepted_rate(),
            summary.receipts.p50,
            summary.receipts.p99,
            summary.latency.p50,
            summary.latency.p99,
        ));
        say(format!("cluster: {}: {}", args, notes.last().map_or("", String::as_str)));
    }
    Ok((runs, notes))
}

async fn durable(
    options: &Options,
    stand: &mut Stand,
    rooms: &[RoomId],
    cluster: &Cluster,
    say: &mut impl FnMut(String),
) -> Result<Figure, Error> {
    let args =
        format!("--dests {ROOMS} --subs 200 --pubs 8 --window 32 --messages {}", options.amount(60_000));
    let mut limits = Vec::new();
    let (mut runs, mut notes) = (Vec::new(), Vec::new());
    for _ in 0..options.repeat {
        limits.push(pgbench(options, &cluster.postgres)?);
        say(format!("cluster: PostgreSQL alone inserts {:.0} rows/s", limits.last().unwrap_or(&0.0)));
        let once = Options { repeat: 1, ..options.clone() };
        let (run, note) = measure(&once, stand, rooms, &args, Summary::accepted_rate, say).await?;
        runs.extend(run);
        notes.extend(note);
    }
    Ok(Figure {
        name: "cluster: durable chat".to_owned(),
        unit: "accepted/s",
        runs,
        comparison: Some(("pgbench, 256 rows an insert", limits)),
        target: Target::AtLeast(8_000.0),
        command: format!("stompbench {args}"),
        notes,
    })
}

/// Rows a second that PostgreSQL takes when nothing else happens: the same table, filled by one client with inserts of
/// [`ROWS`] rows that bump the same counter.
fn pgbench(options: &Options, postgres: &Postgres) -> Result<f64, Error> {
    let sql = "DROP TABLE IF EXISTS limit_events, limit_head;\n\
         CREATE TABLE limit_head (position bigint NOT NULL); INSERT INTO limit_head VALUES (0);\n\
         CREATE TABLE limit_events (position bigint PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         sequence bigint NOT NULL, event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, \
         metadata json NOT NULL, recorded_at timestamptz NOT NULL, idempotency_key text, \
         UNIQUE (aggregate_type, aggregate_id, sequence));";
    succeeded("psql", &postgres.psql("verbatim", sql))?;
    let script = tempfile::NamedTempFile::new().map_err(Error::io("pgbench's script"))?;
    let insert = format!(
        "WITH head AS (UPDATE limit_head SET position = position + {ROWS} RETURNING position - {ROWS} AS base) \
         INSERT INTO limit_events SELECT base + i, 'room', 'a room of thirty-six characters here', base + i, \
         'MessageSent', '1', json_build_object('body', repeat('x', 100), 'seq', i, 'sender', repeat('y', 200)), \
         '{{\"actor\":\"somebody with thirty-six characters\"}}', now(), 'key ' || (base + i) \
         FROM head, generate_series(1, {ROWS}) AS i;\n"
    );
    std::fs::write(script.path(), insert).map_err(Error::io("pgbench's script"))?;
    let seconds = options.amount(PGBENCH_SECONDS * 20) / 20;
    let output = postgres
        .tool("pgbench")
        .args(["-n", "-c", "1", "-T", &seconds.max(1).to_string(), "-f"])
        .arg(script.path())
        .arg("verbatim")
        .output()
        .map_err(Error::io("pgbench"))?;
    succeeded("pgbench", &output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps =
        text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
    let tps = tps.ok_or_else(|| Error::Protocol(format!("pgbench says no tps: {text}")))?;
    Ok(tps * ROWS as f64)
}

fn succeeded(what: &str, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Setup(format!("{what}: {}", String::from_utf8_lossy(&output.stderr))))
}

/// Eight senders in one room, all at one node and half of them at another.
async fn hot_room(
    options: &Options,
    stand: &mut Stand,
    rooms: &[RoomId],
    second: &str,
    say: &mut impl FnMut(String),
) -> Result<Figure, Error> {
    let room = rooms.get(..1).unwrap_or_default();
    let args = format!("--dests 1 --subs 2 --pubs 8 --window 32 --messages {}", options.amount(20_000));
    let both = format!("{args} --pub-url {},{second}", stand.launch.ws());
    let (mut one, mut two, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let once = Options { repeat: 1, ..options.clone() };
    for _ in 0..options.repeat {
        let (runs, _) = measure(&once, stand, room, &args, Summary::accepted_rate, say).await?;
        one.extend(runs);
        let (runs, note) = measure(&once, stand, room, &both, Summary::accepted_rate, say).await?;
        two.extend(runs);
        notes.extend(note);
    }
    let metrics = reqwest::get(format!("{}/metrics", stand.launch.base())).await?.text().await?;
    notes
        .extend(metrics.lines().filter(|l| l.starts_with("verbatim_bus_conflicts_total")).map(str::to_owned));
    Ok(Figure {
        name: "cluster: two nodes in one hot room".to_owned(),
        unit: "accepted/s",
        runs: two,
        comparison: Some(("one node", one)),
        target: Target::RatioAtLeast(0.6),
        command: format!("stompbench {args} --pub-url ONE,TWO"),
        notes,
    })
}

/// All read models anew, from a log as long as the corpus, while the service answers.
async fn rebuild(
    options: &Options,
    cluster: &mut Cluster,
    say: &mut impl FnMut(String),
) -> Result<Figure, Error> {
    let stand = Stand::of(cluster.front(), fresh_folder(options)?)?;
    let messages = options.amount(usize::try_from(CORPUS_MESSAGES).unwrap_or(usize::MAX)) as u64;
    let file = stand.folder().join("corpus.ndjson");
    imports::write(&file, &[imports::corpus(messages)])?;
    let (_, took) = stand.cli(&["import", &file.display().to_string()], LIMIT).await?;
    say(format!("cluster: imported {:.0} messages/s", messages as f64 / took.as_secs_f64()));
    let output = cluster.postgres.psql("verbatim", "SELECT max(position) FROM events");
    succeeded("psql", &output)?;
    let events: f64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .map_err(|error| Error::Protocol(format!("the log's head: {error}")))?;
    let mut runs = Vec::new();
    for _ in 0..options.repeat {
        let (_, took) = stand.cli(&["projections", "rebuild", "--all"], LIMIT).await?;
        runs.push(events / took.as_secs_f64());
        say(format!("cluster: rebuilt {events} events in {:.1} s", took.as_secs_f64()));
    }
    let (verified, took) = stand.cli(&["projections", "verify", "--all"], LIMIT).await?;
    say(format!("cluster: verified in {:.1} s: {}", took.as_secs_f64(), verified.trim().replace('\n', "; ")));
    Ok(Figure {
        name: "cluster: rebuild of all projections".to_owned(),
        unit: "events/s",
        runs,
        comparison: None,
        target: Target::AtLeast(20_000.0),
        command: "verbatim projections rebuild --all".to_owned(),
        notes: vec![format!("{events} events into MySQL and Redis, the service running")],
    })
}
