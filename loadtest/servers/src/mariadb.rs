//! MariaDB, which stands for MySQL.

use crate::child::Server;
use crate::programs::{User, command, copy_of_template, find, run};
use crate::{Durability, Port, wait_for_port};
use std::process::Command;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A MariaDB server with a user `root` who needs no password.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    port: Port,
    folder: tempfile::TempDir,
    user: Option<User>,
    durability: Durability,
}

impl MariaDb {
    /// Starts one for tests.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Durability::Process)
    }

    /// Starts one.
    #[must_use]
    pub fn with(durability: Durability) -> Self {
        let user = User::unless_unprivileged("mysql");
        let folder = tempfile::tempdir().expect("a folder for MariaDB");
        if let Some(user) = user {
            user.owns(folder.path());
        }
        copy_of_template("mariadb", user, &folder.path().join("data"), |to| {
            let mut install = command(&find("mariadb-install-db", "mariadb-server"), user);
            install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
            install.args(["--innodb-log-file-size=16M", "--innodb-flush-method=nosync"]);
            run(install.arg(format!("--datadir={}", to.display())));
        });
        let port = Port::take();
        let server = Self::launch(&port, &folder, user, durability);
        let started = Self { server, port, folder, user, durability };
        started.wait();
        started
    }

    fn launch(port: &Port, folder: &tempfile::TempDir, user: Option<User>, durability: Durability) -> Server {
        let mut command = command(&find("mariadbd", "mariadb-server"), user);
        let path = |name: &str| folder.path().join(name).display().to_string();
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"]);
        command.args(["--max-connections=300", "--character-set-server=utf8mb4"]);
        command.arg(format!("--port={}", port.number()));
        command.arg(format!("--datadir={}", path("data")));
        command.arg(format!("--socket={}", path("socket")));
        command.arg(format!("--pid-file={}", path("pid")));
        match durability {
            Durability::Process => {
                command.args(["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync"]);
                command.args(["--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M"]);
            }
            Durability::Machine => {
                command.args(["--innodb-flush-log-at-trx-commit=1", "--innodb-log-file-size=256M"]);
                command.arg("--innodb-buffer-pool-size=512M");
            }
        }
        Server::start("mariadbd", &mut command, &folder.path().join("log"))
    }

    fn wait(&self) {
        wait_for_port(self.port.number(), START_LIMIT);
        let began = Instant::now();
        while !self.sql("", "SELECT 1").status.success() {
            assert!(began.elapsed() < START_LIMIT, "MariaDB is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs SQL in a database, with the command line client.
    #[must_use]
    pub fn sql(&self, database: &str, sql: &str) -> std::process::Output {
        let mut client = Command::new(find("mariadb", "mariadb-client"));
        client.args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"]);
        client.arg(format!("--socket={}", self.folder.path().join("socket").display()));
        client.args(["--execute", sql]).arg(database).output().expect("mariadb")
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `mysql://` URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port.number())
    }

    /// Creates an empty database.
    ///
    /// # Panics
    /// It can't be created.
    pub fn create_database(&self, name: &str) {
        let output = self.sql("", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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

    /// Ends it in an orderly way.
    pub fn stop(&mut self) {
        self.server.stop(rustix::process::Signal::TERM);
    }

    /// Starts it again on the same port with the same data, and waits until it answers.
    pub fn start_again(&mut self) {
        self.server = Self::launch(&self.port, &self.folder, self.user, self.durability);
        self.wait();
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
