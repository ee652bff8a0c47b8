//! One fault after the other under load, with the oracle watching: no acknowledged message lost, doubled or reordered,
//! counts right, and the service back by itself.

use crate::common::binary;
use crate::kit::{LIMIT, Person, api, start, until};
use rand::Rng;
use std::time::{Duration, Instant};
use verbatim_loadtest::Error;
use verbatim_loadtest::cluster::{Cluster, Lines};
use verbatim_loadtest::http::SeqPage;
use verbatim_loadtest::ids::RoomId;
use verbatim_loadtest::oracle::{Config, Moment, Stops, Torment, Violation, run_against};
use verbatim_servers::Proxy;

/// How many messages are begun, at most, while something is away; and how long that may take.
const MEANWHILE: (usize, Duration) = (20, Duration::from_secs(4));

/// What is done.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NodeKilled,
    RunnerKilled,
    RedisKilled,
    RedisKilledAndWiped,
    MySqlKilled,
    PostgresKilled,
    PostgresCut,
    MySqlCut,
    RedisCut,
}

struct Faults {
    cluster: Cluster,
    plan: Vec<Fault>,
    probe: Person,
    room: RoomId,
    stops: Stops,
    log: Vec<String>,
}

impl Faults {
    async fn new(plan: Vec<Fault>) -> Self {
        let cluster = start(2).await;
        let probe = Person::at(&cluster.nodes[0]).await;
        let room = probe.opens_room(&cluster.nodes[0]).await;
        Self { cluster, plan, probe, room, stops: Stops::default(), log: Vec::new() }
    }

    async fn leader(&self) -> usize {
        for (number, node) in self.cluster.nodes.iter().enumerate() {
            let text = match reqwest::get(format!("{}/metrics", node.launch.base())).await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(_) => continue,
            };
            if text.lines().any(|l| l.starts_with("verbatim_projection_leading") && l.ends_with(" 1")) {
                return number;
            }
        }
        0
    }

    /// Until each node takes a message and shows it.
    async fn whole(&self, what: &str) {
        for node in &self.cluster.nodes {
            let body = format!("{what} at {}", node.launch.listen);
            let sent = self.probe.sends_at_last(node, self.room, &body).await;
            let api = api(node);
            until("a message in history", LIMIT, async || {
                let page =
                    api.history(&self.probe.token, self.room, SeqPage::After(sent.seq - 1), 1, 0).await;
                page.ok()?.items.first().map(|_| ())
            })
            .await;
        }
    }

    /// Cuts one line of one node, and heals it.
    async fn cut(&mut self, moment: &Moment<'_>, node: usize, line: impl Fn(&Lines) -> &Proxy + Sync) {
        let lines = self.cluster.nodes[node].lines.as_ref().unwrap();
        line(lines).cut();
        moment.passes(MEANWHILE.0, MEANWHILE.1).await;
        line(lines).heal();
    }
}

impl Torment for Faults {
    async fn torment(&mut self, moment: &Moment<'_>) -> Result<(), Error> {
        let mut rng = moment.rng();
        let fault = self.plan[(moment.round() as usize - 1) % self.plan.len()];
        let any = rng.random_range(0..self.cluster.nodes.len());
        let leader = self.leader().await;
        moment.comes(&mut rng).await;
        self.stops.kills += 1;
        match fault {
            Fault::NodeKilled | Fault::RunnerKilled => {
                let number = if matches!(fault, Fault::RunnerKilled) { leader } else { any };
                self.cluster.nodes[number].kill().await?;
                moment.passes(MEANWHILE.0, MEANWHILE.1).await;
                self.cluster.nodes[number].start().await?;
            }
            Fault::RedisKilled | Fault::RedisKilledAndWiped => {
                if matches!(fault, Fault::RedisKilledAndWiped) {
                    let _ = self.cluster.redis.cli(&["FLUSHALL"]);
                }
                self.cluster.redis.kill_9();
                moment.passes(MEANWHILE.0, MEANWHILE.1).await;
                self.cluster.redis.start_again();
            }
            Fault::MySqlKilled => {
                self.cluster.mariadb.kill_9();
                moment.passes(MEANWHILE.0, MEANWHILE.1).await;
                self.cluster.mariadb.start_again();
            }
            Fault::PostgresKilled => {
                self.cluster.postgres.kill_9();
                moment.passes(MEANWHILE.0, Duration::from_millis(500)).await;
                self.cluster.postgres.start_again();
            }
            Fault::PostgresCut => self.cut(moment, leader, |lines| &lines.postgres).await,
            Fault::MySqlCut => self.cut(moment, any, |lines| &lines.mariadb).await,
            Fault::RedisCut => self.cut(moment, any, |lines| &lines.redis).await,
        }
        let began = Instant::now();
        self.whole(&format!("{fault:?} {}", moment.round())).await;
        self.log.push(format!("{fault:?}: whole again after {:.2} s", began.elapsed().as_secs_f64()));
        Ok(())
    }

    fn stops(&self) -> Stops {
        self.stops
    }

    async fn goodbye(&mut self) -> Vec<Violation> {
        let mut found = Vec::new();
        for node in &mut self.cluster.nodes {
            if let Err(error) = node.stop().await {
                found.push(Violation::Incident(error.to_string()));
            }
        }
        found
    }
}

async fn survives(plan: Vec<Fault>) {
    let rounds = u32::try_from(plan.len()).unwrap();
    let seed = std::env::var("VERBATIM_KILL_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut faults = Faults::new(plan).await;
    let front = faults.cluster.front();
    let config = Config { rounds, seed, sends: 60, ..Config::new(binary()) };
    let report = run_against(config, front, &mut faults, |round| println!("{round:?}")).await.unwrap();
    faults.log.iter().for_each(|line| println!("{line}"));
    let shown: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    if !shown.is_empty() {
        let logs = faults.cluster.logs(60);
        let kept = faults.cluster.keep();
        panic!("seed {seed}, kept in {}:\n{}\n{logs}", kept.display(), shown.join("\n"));
    }
    assert!(report.totals().acknowledged > 0 && report.totals().kills == u64::from(rounds));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_nodes_are_killed() {
    survives(vec![Fault::NodeKilled, Fault::RunnerKilled]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_redis_is_killed_wiped_and_cut_off() {
    survives(vec![Fault::RedisKilled, Fault::RedisKilledAndWiped, Fault::RedisCut]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_mysql_is_killed_and_cut_off() {
    survives(vec![Fault::MySqlKilled, Fault::MySqlCut]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_postgres_is_killed_and_cut_off() {
    survives(vec![Fault::PostgresKilled, Fault::PostgresCut, Fault::PostgresKilled]).await;
}
