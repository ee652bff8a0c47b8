//! A database of one's own on a server that may be shared: for tests that do not kill it.

use crate::{
    MariaDb, Postgres,
    programs::{find, run},
};
use std::process::Command;

/// Port of a PostgreSQL server that tests share; without it each starts its own.
pub(crate) const POSTGRES: &str = "VERBATIM_TEST_POSTGRES_PORT";
/// Port of a MariaDB server that tests share; without it each starts its own.
pub(crate) const MARIADB: &str = "VERBATIM_TEST_MARIADB_PORT";

/// An empty database, and the server it is on unless that is shared.
#[derive(Debug)]
pub struct Database<S> {
    url: String,
    _server: Option<S>,
}

impl<S> Database<S> {
    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn fresh_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hash maps are seeded at random, each differently.
    format!("t_{:016x}", std::hash::RandomState::new().build_hasher().finish())
}

fn shared(variable: &str) -> Option<u16> {
    std::env::var(variable).ok()?.parse().ok()
}

/// An empty PostgreSQL database.
#[must_use]
pub fn postgres_database() -> Database<Postgres> {
    let name = fresh_name();
    if let Some(port) = shared(POSTGRES) {
        let mut psql = Command::new(find("psql", "postgresql"));
        psql.args([
            "-X",
            "-q",
            "-h",
            "127.0.0.1",
            "-U",
            "verbatim",
            "-d",
            "postgres",
            "-p",
            &port.to_string(),
        ]);
        run(psql.args(["-c", &format!("CREATE DATABASE {name}")]));
        return Database { url: format!("postgres://verbatim@127.0.0.1:{port}/{name}"), _server: None };
    }
    let server = Postgres::start();
    server.create_database(&name);
    Database { url: server.url(&name), _server: Some(server) }
}

/// An empty MySQL database.
#[must_use]
pub fn mysql_database() -> Database<MariaDb> {
    let name = fresh_name();
    if let Some(port) = shared(MARIADB) {
        let mut client = Command::new(find("mariadb", "mariadb-client"));
        client.args(["--no-defaults", "--user=root", "--host=127.0.0.1", "--port", &port.to_string()]);
        run(client.args(["--execute", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")]));
        return Database { url: format!("mysql://root@127.0.0.1:{port}/{name}"), _server: None };
    }
    let server = MariaDb::start();
    server.create_database(&name);
    Database { url: server.url(&name), _server: Some(server) }
}
