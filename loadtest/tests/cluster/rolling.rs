//! Every node is stopped and started, one after the other, behind nginx, while everybody talks.

use crate::common::binary;
use crate::kit::start;
use verbatim_loadtest::Error;
use verbatim_loadtest::cluster::Cluster;
use verbatim_loadtest::oracle::{Config, Moment, Stops, Torment, Violation, run_against};

struct Rolling {
    cluster: Cluster,
    stops: Stops,
}

impl Torment for Rolling {
    async fn torment(&mut self, moment: &Moment<'_>) -> Result<(), Error> {
        let mut rng = moment.rng();
        moment.comes(&mut rng).await;
        for node in &mut self.cluster.nodes {
            node.stop().await?;
            self.stops.polite += 1;
            node.start().await?;
        }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_a_rolling_restart_loses_nothing() {
    let cluster = start(2).await;
    let front = cluster.front();
    let seed = u64::from(rand::random::<u32>());
    let config = Config { rounds: 2, seed, sends: 60, ..Config::new(binary()) };
    let mut rolling = Rolling { cluster, stops: Stops::default() };
    let report = run_against(config, front, &mut rolling, |round| println!("{round:?}")).await.unwrap();
    let shown: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "seed {seed}:\n{}\n{}", shown.join("\n"), rolling.cluster.logs(40));
    assert_eq!(report.totals().stops, 4);
}
