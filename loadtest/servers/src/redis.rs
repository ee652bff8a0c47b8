//! Redis, alone or as a Redis Cluster.

use crate::child::Server;
use crate::programs::{command, find, run};
use crate::{Port, wait_for_port};
use std::process::Command;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(30);

/// A Redis server.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: Port,
    folder: tempfile::TempDir,
    persistent: bool,
    clustered: bool,
}

impl Redis {
    /// One that keeps nothing: after a restart it is empty.
    #[must_use]
    pub fn start() -> Self {
        Self::with(false, false)
    }

    /// One that keeps an append-only file.
    #[must_use]
    pub fn persistent() -> Self {
        Self::with(true, false)
    }

    fn with(persistent: bool, clustered: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder for Redis");
        let port = if clustered { Port::take_with_bus() } else { Port::take() };
        let server = Self::launch(&port, &folder, persistent, clustered);
        let started = Self { server, port, folder, persistent, clustered };
        started.wait();
        started
    }

    fn launch(port: &Port, folder: &tempfile::TempDir, persistent: bool, clustered: bool) -> Server {
        let mut command = command(&find("redis-server", "redis-server"), None);
        command.args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
        command.args(["--port", &port.number().to_string()]);
        command.arg("--dir").arg(folder.path());
        command.args(["--appendonly", if persistent { "yes" } else { "no" }]);
        if clustered {
            command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        }
        Server::start("redis-server", &mut command, &folder.path().join("log"))
    }

    fn wait(&self) {
        wait_for_port(self.port.number(), START_LIMIT);
        let began = Instant::now();
        while self.cli(&["PING"]).trim() != "PONG" {
            assert!(began.elapsed() < START_LIMIT, "Redis is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs a command with redis-cli and gives what it prints.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> String {
        let mut client = Command::new(find("redis-cli", "redis-tools"));
        let output =
            client.args(["-p", &self.port.number().to_string()]).args(args).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `redis://` URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port.number())
    }

    /// SIGKILL.
    pub fn kill_9(&mut self) {
        self.server.kill_9();
    }

    /// SIGSTOP: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Starts it again on the same port, with what it has kept.
    pub fn start_again(&mut self) {
        self.server = Self::launch(&self.port, &self.folder, self.persistent, self.clustered);
        self.wait();
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A Redis Cluster of three masters.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts one that keeps nothing.
    #[must_use]
    pub fn start() -> Self {
        let nodes: Vec<Redis> = (0..3).map(|_| Redis::with(false, true)).collect();
        let mut create = Command::new(find("redis-cli", "redis-tools"));
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        run(create.args(["--cluster-replicas", "0", "--cluster-yes"]));
        let began = Instant::now();
        while !nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            assert!(began.elapsed() < START_LIMIT, "the Redis Cluster does not form");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { nodes }
    }

    /// URL of one of its nodes.
    #[must_use]
    pub fn url(&self) -> String {
        self.nodes.first().map(Redis::url).unwrap_or_default()
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}
