//! Settings: flags over environment over file (`verbatim.toml`) over built-in defaults. Whatever its door, a wrong
//! setting stops the start with its name.

use crate::http::Network;
use clap::Args;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The file that is read if it is there.
const FILE: &str = "verbatim.toml";
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DATA: &str = "./verbatim-data";

/// Settings as given: on the command line, in the environment or in the file. All are optional.
#[derive(Debug, Default, Clone, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "VERBATIM_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Folder for everything that is kept [default: ./verbatim-data]
    #[arg(long, global = true, env = "VERBATIM_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Event log: sqlite:PATH [default: events.db in the data folder]
    #[arg(long, global = true, env = "VERBATIM_EVENT_STORE_URL", value_name = "URL")]
    pub event_store_url: Option<String>,
    /// Relational read models: sqlite:PATH [default: read.db in the data folder]
    #[arg(long, global = true, env = "VERBATIM_READ_MODEL_URL", value_name = "URL")]
    pub read_model_url: Option<String>,
    /// Redis for unread counts and broadcast; not in this version [default: SQLite, in process]
    #[arg(long, global = true, env = "VERBATIM_REDIS_URL", value_name = "URL")]
    pub redis_url: Option<String>,
    /// Key that signs access tokens, at least 32 bytes [default: made once and kept in the data folder]
    #[arg(skip)]
    pub jwt_secret: Option<String>,
    /// What is logged, e.g. info or verbatim_api=debug,warn
    #[arg(long, global = true, env = "VERBATIM_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Proxies, comma separated, whose X-Forwarded-For is believed [default: none]
    #[arg(long, global = true, env = "VERBATIM_TRUSTED_PROXIES", value_name = "ADDRESSES")]
    pub trusted_proxies: Option<String>,
    /// Origins, comma separated, whose pages may call the API [default: none]
    #[arg(long, global = true, env = "VERBATIM_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<String>,
}

/// A setting is wrong. The sentence names it, and never shows a secret.
#[derive(Debug, thiserror::Error)]
#[error("setting {name}: {problem}")]
pub struct ConfigError {
    name: &'static str,
    problem: String,
}

fn wrong(name: &'static str, problem: impl std::fmt::Display) -> ConfigError {
    ConfigError { name, problem: problem.to_string() }
}

/// Settings, checked.
#[derive(Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Folder for everything that is kept.
    pub data: PathBuf,
    /// File of the event log.
    pub event_log: PathBuf,
    /// Database of the read models, as sea-orm names it.
    pub read_model_url: String,
    /// File of the read models.
    pub read_model: PathBuf,
    /// Key for access tokens; absent: the one in the data folder.
    pub jwt_secret: Option<String>,
    /// Log filter.
    pub log: Option<String>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Network>,
    /// Origins that are allowed.
    pub cors_origins: Vec<String>,
}

/// The path in `sqlite:PATH`.
fn sqlite_path(name: &'static str, url: &str) -> Result<PathBuf, ConfigError> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
        Some(_) => Err(wrong(name, "names no file")),
        None => Err(wrong(name, "this version takes sqlite:PATH only")),
    }
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl Given {
    /// Fills what is not given from `verbatim.toml` in the current folder, if there is one, and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = Self::from_file(Path::new(FILE))?;
        // Never a flag: what is on a command line is seen by every user of the machine.
        let secret = std::env::var("VERBATIM_JWT_SECRET").ok();
        self.over(file, secret).check()
    }

    fn from_file(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            // Only the message: toml's full error quotes the line, and the line may hold the secret.
            Ok(text) => toml::from_str(&text).map_err(|error| wrong(FILE, error.message())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(FILE, error)),
        }
    }

    fn over(self, file: Self, secret: Option<String>) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            data: self.data.or(file.data),
            event_store_url: self.event_store_url.or(file.event_store_url),
            read_model_url: self.read_model_url.or(file.read_model_url),
            redis_url: self.redis_url.or(file.redis_url),
            jwt_secret: secret.or(self.jwt_secret).or(file.jwt_secret),
            log: self.log.or(file.log),
            trusted_proxies: self.trusted_proxies.or(file.trusted_proxies),
            cors_origins: self.cors_origins.or(file.cors_origins),
        }
    }

    fn check(self) -> Result<Config, ConfigError> {
        let listen = self.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listen = listen.parse().map_err(|_| {
            wrong("VERBATIM_LISTEN", format!("{listen} is not ADDRESS:PORT, e.g. {DEFAULT_LISTEN}"))
        })?;
        let data = self.data.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        if data.as_os_str().is_empty() {
            return Err(wrong("VERBATIM_DATA", "names no folder"));
        }
        let event_log = match &self.event_store_url {
            Some(url) => sqlite_path("VERBATIM_EVENT_STORE_URL", url)?,
            None => data.join("events.db"),
        };
        let read_model = match &self.read_model_url {
            Some(url) => sqlite_path("VERBATIM_READ_MODEL_URL", url)?,
            None => data.join("read.db"),
        };
        if self.redis_url.is_some() {
            return Err(wrong("VERBATIM_REDIS_URL", "this version has no cluster mode; leave it out"));
        }
        if self.jwt_secret.as_ref().is_some_and(|secret| secret.len() < 32) {
            return Err(wrong("VERBATIM_JWT_SECRET", "must have at least 32 bytes"));
        }
        let proxies = list(self.trusted_proxies.as_deref())
            .map(|address| {
                address.parse().map_err(|_| {
                    wrong("VERBATIM_TRUSTED_PROXIES", format!("{address} is no IP address or network"))
                })
            })
            .collect::<Result<_, _>>()?;
        let origins = list(self.cors_origins.as_deref())
            .map(|origin| {
                let fine = origin.starts_with("https://") || origin.starts_with("http://");
                fine.then(|| origin.to_owned())
                    .ok_or_else(|| wrong("VERBATIM_CORS_ORIGINS", format!("{origin} is no http(s) origin")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Config {
            listen,
            read_model_url: format!("sqlite:{}", read_model.display()),
            event_log,
            read_model,
            data,
            jwt_secret: self.jwt_secret,
            log: self.log,
            trusted_proxies: proxies,
            cors_origins: origins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(toml: &str) -> Given {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn nothing_given_is_the_embedded_default() {
        let config = Given::default().check().unwrap();
        assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
        assert_eq!(config.event_log, Path::new("./verbatim-data/events.db"));
        assert_eq!(config.read_model_url, "sqlite:./verbatim-data/read.db");
    }

    #[test]
    fn what_is_given_first_wins() {
        let file = given(
            "listen = '127.0.0.1:1'\ndata = '/file'\njwt_secret = 'a secret of the file, 32 bytes or more'",
        );
        let flags = given("listen = '127.0.0.1:2'");
        let config = flags.over(file, Some("x".repeat(32))).check().unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.data, Path::new("/file"));
        assert_eq!(config.jwt_secret, Some("x".repeat(32)));
    }

    #[test]
    fn a_wrong_setting_is_named_and_a_secret_is_not_shown() {
        for (toml, name) in [
            ("listen = 'here'", "VERBATIM_LISTEN"),
            ("data = ''", "VERBATIM_DATA"),
            ("event_store_url = 'postgres://x'", "VERBATIM_EVENT_STORE_URL"),
            ("read_model_url = 'sqlite:'", "VERBATIM_READ_MODEL_URL"),
            ("redis_url = 'redis://x'", "VERBATIM_REDIS_URL"),
            ("jwt_secret = 'hunter2'", "VERBATIM_JWT_SECRET"),
            ("trusted_proxies = '10.0.0.1, x'", "VERBATIM_TRUSTED_PROXIES"),
            ("cors_origins = 'chat.example'", "VERBATIM_CORS_ORIGINS"),
        ] {
            let error = given(toml).check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(name), "{toml}: {error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
