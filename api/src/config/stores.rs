//! Where everything is kept: in files of this machine, or on servers.

use super::{ConfigError, Given, wrong};
use std::path::{Path, PathBuf};

/// Where everything is kept. No `Debug`: URLs hold passwords.
#[derive(Clone)]
pub enum Stores {
    /// In files of this machine, for one node.
    Embedded {
        /// File of the event log.
        event_log: PathBuf,
        /// File of the read models.
        read_model: PathBuf,
    },
    /// On servers, for any number of nodes.
    Cluster {
        /// `postgres://`: event log, sessions, the choice of who projects.
        event_store: String,
        /// `mysql://`: relational read models.
        read_model: String,
        /// `redis://` or `rediss://`: unread counts, broadcast.
        redis: String,
    },
}

/// The path in `sqlite:PATH`.
fn sqlite_path(name: &'static str, url: &str) -> Result<PathBuf, ConfigError> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
        Some(_) => Err(wrong(name, "names no file")),
        None => Err(wrong(name, "is neither sqlite:PATH nor the URL of a server")),
    }
}

pub(super) const EVENT_STORE: &str = "VERBATIM_EVENT_STORE_URL";
pub(super) const READ_MODEL: &str = "VERBATIM_READ_MODEL_URL";
pub(super) const REDIS: &str = "VERBATIM_REDIS_URL";

/// A URL of one of these schemes that names a host.
fn server_url<'a>(
    name: &'static str,
    url: Option<&'a str>,
    schemes: &[&str],
) -> Result<&'a str, ConfigError> {
    let cluster = format!("on servers it takes all three: {EVENT_STORE}, {READ_MODEL} and {REDIS}");
    let url = url.ok_or_else(|| wrong(name, format!("is missing; {cluster}")))?;
    // The URL itself may hold a password and is not shown.
    let host = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)?.strip_prefix("://"));
    match host {
        Some(host) if !host.is_empty() => Ok(url),
        Some(_) => Err(wrong(name, "names no host")),
        None => Err(wrong(name, format!("must begin with {}://; {cluster}", schemes.join(":// or ")))),
    }
}

impl Stores {
    /// All on servers or all in files: a node that keeps some of it to itself would tell its clients another story.
    pub(super) fn of(given: &Given, data: &Path) -> Result<Self, ConfigError> {
        let (log, read) = (given.event_store_url.as_deref(), given.read_model_url.as_deref());
        let embedded =
            |url: Option<&str>| url.is_none_or(|url| url.starts_with("sqlite:") || !url.contains("://"));
        if given.redis_url.is_none() && embedded(log) && embedded(read) {
            let path = |name, url: Option<&str>, default| {
                url.map_or_else(|| Ok(data.join(default)), |url| sqlite_path(name, url))
            };
            return Ok(Self::Embedded {
                event_log: path(EVENT_STORE, log, "events.db")?,
                read_model: path(READ_MODEL, read, "read.db")?,
            });
        }
        Ok(Self::Cluster {
            event_store: server_url(EVENT_STORE, log, &["postgres", "postgresql"])?.to_owned(),
            read_model: server_url(READ_MODEL, read, &["mysql"])?.to_owned(),
            redis: server_url(REDIS, given.redis_url.as_deref(), &["redis", "rediss"])?.to_owned(),
        })
    }
}

/// A setting from a file whose path stands in the environment, as secrets are handed to containers.
pub(super) fn from_secret_file(name: &'static str, variable: &str) -> Result<Option<String>, ConfigError> {
    let Some(path) = std::env::var_os(variable) else { return Ok(None) };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| wrong(name, format!("{variable} = {}: {error}", Path::new(&path).display())))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}
