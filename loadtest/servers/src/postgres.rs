//! PostgreSQL.

use crate::child::Server;
use crate::programs::{User, command, copy_of_template, find, run};
use crate::{Durability, Port, wait_for_port};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A PostgreSQL server with one user, `verbatim`, who needs no password.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: Port,
    folder: tempfile::TempDir,
    user: Option<User>,
    durability: Durability,
}

impl Postgres {
    /// Starts one for tests.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Durability::Process)
    }

    /// Starts one.
    #[must_use]
    pub fn with(durability: Durability) -> Self {
        let user = User::unless_unprivileged("postgres");
        let folder = tempfile::tempdir().expect("a folder for PostgreSQL");
        if let Some(user) = user {
            user.owns(folder.path());
        }
        copy_of_template("postgres", user, &folder.path().join("data"), |to| {
            let mut initdb = command(&find("initdb", "postgresql"), user);
            initdb.args(["--no-sync", "--username=verbatim", "--auth=trust", "--encoding=UTF8"]);
            run(initdb.args(["--locale=C.UTF-8", "--pgdata"]).arg(to.join("initial")));
            // initdb wants a folder that is empty, the server wants one that only its user may read.
            run(Command::new("sh")
                .args(["-c", "mv initial/* . && rmdir initial && chmod 700 ."])
                .current_dir(to));
        });
        let port = Port::take();
        let server = Self::launch(&port, &folder, user, durability);
        let started = Self { server, port, folder, user, durability };
        started.wait();
        started
    }

    fn launch(port: &Port, folder: &tempfile::TempDir, user: Option<User>, durability: Durability) -> Server {
        let mut command = command(&find("postgres", "postgresql"), user);
        command.arg("-D").arg(folder.path().join("data"));
        let mut set = |setting: &str| {
            command.args(["-c", setting]);
        };
        set("listen_addresses=127.0.0.1");
        set(&format!("port={}", port.number()));
        set("unix_socket_directories=");
        set("max_connections=300");
        set("shared_buffers=64MB");
        set("log_min_messages=warning");
        if durability == Durability::Process {
            set("fsync=off");
            set("full_page_writes=off");
        }
        Server::start("postgres", &mut command, &folder.path().join("log"))
    }

    fn wait(&self) {
        wait_for_port(self.port.number(), START_LIMIT);
        // It listens before it has recovered.
        let began = Instant::now();
        while !self.psql("postgres", "SELECT 1").status.success() {
            assert!(began.elapsed() < START_LIMIT, "PostgreSQL is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs SQL in a database, with psql.
    #[must_use]
    pub fn psql(&self, database: &str, sql: &str) -> std::process::Output {
        self.tool("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql])
            .output()
            .expect("psql")
    }

    /// A client program (`psql`, `pg_dump`, `pgbench` ...) that is told where this server is.
    #[must_use]
    pub fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(find(program, "postgresql"));
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.number().to_string());
        command.env("PGUSER", "verbatim").env("PGCONNECT_TIMEOUT", "5");
        command
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `postgres://` URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://verbatim@127.0.0.1:{}/{database}", self.port.number())
    }

    /// Creates an empty database.
    ///
    /// # Panics
    /// It can't be created.
    pub fn create_database(&self, name: &str) {
        let output = self.psql("postgres", &format!("CREATE DATABASE {name}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// SIGKILL to all of its processes.
    pub fn kill_9(&mut self) {
        self.server.kill_9();
    }

    /// SIGSTOP to all of its processes: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Ends it in an orderly way, sessions included.
    pub fn stop(&mut self) {
        // "Fast" shutdown: server-shutdown in PostgreSQL's manual.
        self.server.stop(rustix::process::Signal::INT);
    }

    /// Starts it again on the same port with the same data, and waits until it answers.
    pub fn start_again(&mut self) {
        self.server = Self::launch(&self.port, &self.folder, self.user, self.durability);
        self.wait();
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join("log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}
