//! A whole cluster on this machine: several nodes, the servers behind them, nginx in front, and lines between a node
//! and each server that can be cut.

use crate::Error;
use crate::process::{Launch, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use verbatim_servers::{Durability, MariaDb, Nginx, Port, Postgres, Proxy, Redis};

/// A node, in a debug build on a busy machine, is ready within this.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// A polite stop may take this long.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// The same on all nodes, as any cluster must have it.
const SECRET: &str = "one secret for all nodes of a test, long enough";
/// Name of the database on each server.
const DATABASE: &str = "verbatim";

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// What the databases do for a power cut.
    pub durability: Durability,
    /// Whether Redis keeps its data when it is killed.
    pub redis_keeps: bool,
    /// Whether there is a line to cut between each node and each server; it costs processor time.
    pub lines: bool,
}

impl Plan {
    /// For tests: lines that can be cut, a Redis that keeps its data.
    #[must_use]
    pub fn test(nodes: usize) -> Self {
        Self { nodes, durability: Durability::Process, redis_keeps: true, lines: true }
    }

    /// For benchmarks: nothing in between, every commit on disk.
    #[must_use]
    pub fn bench(nodes: usize) -> Self {
        Self { nodes, durability: Durability::Machine, redis_keeps: false, lines: false }
    }
}

/// The lines of one node.
#[derive(Debug)]
pub struct Lines {
    /// To PostgreSQL.
    pub postgres: Proxy,
    /// To MariaDB.
    pub mariadb: Proxy,
    /// To Redis.
    pub redis: Proxy,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// How it is started; clients that use this go to the node itself.
    pub launch: Launch,
    /// Its process, while it runs.
    pub server: Option<Server>,
    /// Its lines, if they can be cut.
    pub lines: Option<Lines>,
    _port: Port,
}

/// All of it. Dropping it ends everything.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// In front of them.
    pub nginx: Nginx,
    /// The event log.
    pub postgres: Postgres,
    /// The relational read models.
    pub mariadb: MariaDb,
    /// Unread counts and broadcast.
    pub redis: Redis,
    binary: PathBuf,
    folder: TempDir,
}

impl Cluster {
    /// Starts the servers and nginx, but no node yet.
    ///
    /// # Errors
    /// No temporary folder can be made, or the repository's nginx.conf is not there.
    pub async fn prepare(binary: &Path, plan: Plan) -> Result<Self, Error> {
        let folder = TempDir::with_prefix("verbatim-cluster-").map_err(Error::io("temporary folder"))?;
        // They block while they start.
        let servers = tokio::task::spawn_blocking(move || {
            let postgres = Postgres::with(plan.durability);
            let mariadb = MariaDb::with(plan.durability);
            let redis = if plan.redis_keeps { Redis::persistent() } else { Redis::start() };
            postgres.create_database(DATABASE);
            mariadb.create_database(DATABASE);
            (postgres, mariadb, redis)
        });
        let (postgres, mariadb, redis) =
            servers.await.map_err(|error| Error::Setup(format!("the servers: {error}")))?;
        let mut nodes = Vec::with_capacity(plan.nodes);
        for number in 1..=plan.nodes {
            let port = Port::take();
            let lines = plan.lines.then(|| Lines {
                postgres: Proxy::start(postgres.port()),
                mariadb: Proxy::start(mariadb.port()),
                redis: Proxy::start(redis.port()),
            });
            let ports = lines.as_ref().map_or((postgres.port(), mariadb.port(), redis.port()), |lines| {
                (lines.postgres.port(), lines.mariadb.port(), lines.redis.port())
            });
            let mut env = settings(ports);
            env.push(("VERBATIM_NODE".to_owned(), format!("node-{number}")));
            let launch = Launch {
                binary: binary.to_owned(),
                data: folder.path().join(format!("node-{number}")),
                listen: port.address(),
                log: folder.path().join(format!("node-{number}.log")),
                env,
                front: None,
            };
            nodes.push(Node { launch, server: None, lines, _port: port });
        }
        let upstreams: String = nodes
            .iter()
            .map(|node| format!("    server {} max_fails=1 fail_timeout=2s;\n", node.launch.listen))
            .collect();
        let upstreams = format!("upstream verbatim {{\n    least_conn;\n{upstreams}    keepalive 64;\n}}\n");
        let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx/nginx.conf");
        let nginx = Nginx::start(&conf, |port| {
            let listen = format!("listen 127.0.0.1:{port};\nserver_name _;\n");
            vec![("upstreams.conf".to_owned(), upstreams), ("listen.conf".to_owned(), listen)]
        });
        Ok(Self { nodes, nginx, postgres, mariadb, redis, binary: binary.to_owned(), folder })
    }

    /// [`prepare`](Self::prepare), and starts all nodes.
    ///
    /// # Errors
    /// As there, or a node is not ready in time.
    pub async fn start(binary: &Path, plan: Plan) -> Result<Self, Error> {
        let mut cluster = Self::prepare(binary, plan).await?;
        for node in &mut cluster.nodes {
            node.start().await?;
        }
        Ok(cluster)
    }

    /// How the command line is run, past all lines, and how clients go through nginx.
    #[must_use]
    pub fn front(&self) -> Launch {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.nginx.port()));
        Launch {
            binary: self.binary.clone(),
            data: self.folder.path().join("operator"),
            listen: address,
            log: self.folder.path().join("operator.log"),
            env: settings((self.postgres.port(), self.mariadb.port(), self.redis.port())),
            front: Some(address),
        }
    }

    /// Process ids of everything, for what it all costs together.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.server.as_ref()?.pid()).collect()
    }

    /// The folder with the nodes' logs; it is kept.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// What the nodes have logged, the end of it.
    #[must_use]
    pub fn logs(&self, lines: usize) -> String {
        let tail = |node: &Node| {
            let text = std::fs::read_to_string(&node.launch.log).unwrap_or_default();
            let all: Vec<&str> = text.lines().collect();
            let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
            format!("--- {}\n{}\n", node.launch.log.display(), last.join("\n"))
        };
        self.nodes.iter().map(tail).collect()
    }
}

impl Node {
    /// Starts it and waits until it is ready; the answer is how long that took.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn start(&mut self) -> Result<Duration, Error> {
        let server = self.server.insert(self.launch.spawn()?);
        server.ready(READY_LIMIT).await
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// The system could not kill it.
    pub async fn kill(&mut self) -> Result<(), Error> {
        match self.server.take() {
            Some(server) => server.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM, and it must end well.
    ///
    /// # Errors
    /// It does not.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let status = server.terminate(STOP_LIMIT).await?;
        if status.success() { Ok(()) } else { Err(Error::Setup(format!("SIGTERM ended in {status}"))) }
    }
}

fn settings((postgres, mariadb, redis): (u16, u16, u16)) -> Vec<(String, String)> {
    let set = |name: &str, value: String| (name.to_owned(), value);
    vec![
        set("VERBATIM_EVENT_STORE_URL", format!("postgres://verbatim@127.0.0.1:{postgres}/{DATABASE}")),
        set("VERBATIM_READ_MODEL_URL", format!("mysql://root@127.0.0.1:{mariadb}/{DATABASE}")),
        set("VERBATIM_REDIS_URL", format!("redis://127.0.0.1:{redis}/")),
        set("VERBATIM_JWT_SECRET", SECRET.to_owned()),
        set("VERBATIM_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
    ]
}
