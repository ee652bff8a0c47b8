//! Connections to PostgreSQL, with the server's own time limits set on each.

use super::PostgresOpenError;
use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use std::{str::FromStr, time::Duration};
use tokio::time::timeout;

/// How long opening a connection may take.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// What every session is told first.
///
/// The server gives up before the client does (see [`super::ANSWER_LIMIT`]), so that a slow statement has a definite end:
/// nothing was done. Locks and unique indexes do the ordering, which wants READ COMMITTED, and an answer means durable,
/// whatever the server's defaults are. Stronger settings than `on` (`remote_apply`) are left alone.
const SESSION: &str = "SET statement_timeout = '4s';
    SET lock_timeout = '3s';
    SET idle_in_transaction_session_timeout = '5s';
    SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Where a server is, and what sessions there begin with.
#[derive(Clone)]
pub(crate) struct Target {
    options: PgConnectOptions,
    session: String,
}

impl Target {
    /// The server and database of a `postgres://` URL.
    pub(crate) fn parse(url: &str) -> Result<Self, PostgresOpenError> {
        let options = PgConnectOptions::from_str(url).map_err(PostgresOpenError::Url)?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("verbatim"),
        };
        // Errors are logged where they are handled.
        Ok(Self { options: options.disable_statement_logging(), session: SESSION.to_owned() })
    }

    /// The same, with more to say at the beginning of each session.
    pub(crate) fn with(mut self, settings: &str) -> Self {
        self.session = format!("{};\n{settings}", self.session);
        self
    }

    /// The bare server, for what opens connections by itself.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Opens a connection. Boxed, as is what else hands a connection to sqlx several times: the compiler can't see through
    /// the lifetimes in there that the future may be sent between threads.
    pub(crate) fn connect(&self) -> BoxFuture<'_, Result<PgConnection, ConnectError>> {
        let connecting = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute(self.session.as_str()).await?;
            Ok(connection)
        };
        async {
            match timeout(CONNECT_LIMIT, connecting).await {
                Ok(outcome) => outcome.map_err(ConnectError::Refused),
                Err(_) => Err(ConnectError::TimedOut),
            }
        }
        .boxed()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server, or the network, said no.
    #[error("there is no connection to PostgreSQL: {0}")]
    Refused(#[source] sqlx::Error),
    /// Nobody answered.
    #[error("PostgreSQL does not answer within {CONNECT_LIMIT:?}")]
    TimedOut,
}
