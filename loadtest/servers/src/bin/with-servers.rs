//! Runs a command while a PostgreSQL and a MariaDB server are there for all the tests it starts:
//! `with-servers COMMAND ARGUMENT...`. Without it every test starts its own, which takes longer.
#![allow(clippy::expect_used, reason = "without its servers the command can't run")]

use std::process::{Command, ExitCode};
use verbatim_servers::{MariaDb, Postgres};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().expect("with-servers COMMAND ARGUMENT...");
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    let status = Command::new(program)
        .args(args)
        .env("VERBATIM_TEST_POSTGRES_PORT", postgres.port().to_string())
        .env("VERBATIM_TEST_MARIADB_PORT", mariadb.port().to_string())
        .status()
        .expect("the command can't be started");
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
