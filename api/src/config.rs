//! Settings: flags over environment over file (`verbatim.toml`) over built-in defaults. Whatever its door, a wrong
//! setting stops the start with its name.

mod stores;
mod telemetry;

use crate::http::Network;
use clap::Args;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use stores::{EVENT_STORE, READ_MODEL, REDIS, from_secret_file};
use telemetry::{node, number};
use verbatim_observability::LogFile;

pub use stores::Stores;

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
    /// Event log: sqlite:PATH or postgres://... [default: events.db in the data folder]
    #[arg(long, global = true, env = "VERBATIM_EVENT_STORE_URL", value_name = "URL")]
    pub event_store_url: Option<String>,
    /// Relational read models: sqlite:PATH or mysql://... [default: read.db in the data folder]
    #[arg(long, global = true, env = "VERBATIM_READ_MODEL_URL", value_name = "URL")]
    pub read_model_url: Option<String>,
    /// Redis for unread counts and broadcast: redis://... [default: SQLite, in process]
    #[arg(long, global = true, env = "VERBATIM_REDIS_URL", value_name = "URL")]
    pub redis_url: Option<String>,
    /// Key that signs access tokens, at least 32 bytes [default: made once and kept in the data folder; with postgres://
    /// it must be given, the same on every node]
    #[arg(skip)]
    pub jwt_secret: Option<String>,
    /// What is logged, e.g. info or verbatim_api=debug,warn
    #[arg(long, global = true, env = "VERBATIM_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Name of this node in logs [default: the machine's host name]
    #[arg(long, global = true, env = "VERBATIM_NODE", value_name = "NAME")]
    pub node: Option<String>,
    /// File that the service logs into, beside its standard output [default: none]
    #[arg(long, global = true, env = "VERBATIM_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Size in MiB at which the log file is put aside [default: 100]
    #[arg(long, global = true, env = "VERBATIM_LOG_FILE_MIB", value_name = "MIB",
          value_parser = |text: &str| number("VERBATIM_LOG_FILE_MIB", text))]
    pub log_file_mib: Option<u64>,
    /// Log files that are kept, the one that is written to included [default: 10]
    #[arg(long, global = true, env = "VERBATIM_LOG_FILES", value_name = "NUMBER",
          value_parser = |text: &str| number("VERBATIM_LOG_FILES", text))]
    pub log_files: Option<u64>,
    /// Collector that takes spans, OTLP over HTTP, e.g. http://127.0.0.1:4318 [default: none]
    #[arg(long, global = true, env = "VERBATIM_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Which part of the traces that begin here is sampled for it, 0 to 1 [default: 1]
    #[arg(long, global = true, env = "VERBATIM_TRACE_SAMPLE", value_name = "PART")]
    pub trace_sample: Option<String>,
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
    /// Folder for everything that is kept here.
    pub data: PathBuf,
    /// Where everything is kept.
    pub stores: Stores,
    /// Key for access tokens; absent: the one in the data folder.
    pub jwt_secret: Option<String>,
    /// Log filter.
    pub log: Option<String>,
    /// Name of this node.
    pub node: String,
    /// File that the service logs into.
    pub log_file: Option<LogFile>,
    /// Collector that takes spans, and which part of the traces that begin here it is given.
    pub spans: Option<(String, f64)>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Network>,
    /// Origins that are allowed.
    pub cors_origins: Vec<String>,
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
        let secret = secret.map_or_else(
            || from_secret_file("VERBATIM_JWT_SECRET", "VERBATIM_JWT_SECRET_FILE"),
            |s| Ok(Some(s)),
        )?;
        let secrets = Self {
            event_store_url: from_secret_file(EVENT_STORE, "VERBATIM_EVENT_STORE_URL_FILE")?,
            read_model_url: from_secret_file(READ_MODEL, "VERBATIM_READ_MODEL_URL_FILE")?,
            redis_url: from_secret_file(REDIS, "VERBATIM_REDIS_URL_FILE")?,
            ..Self::default()
        };
        self.over(secrets, secret).over(file, None).check()
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
            node: self.node.or(file.node),
            log_file: self.log_file.or(file.log_file),
            log_file_mib: self.log_file_mib.or(file.log_file_mib),
            log_files: self.log_files.or(file.log_files),
            otlp_endpoint: self.otlp_endpoint.or(file.otlp_endpoint),
            trace_sample: self.trace_sample.or(file.trace_sample),
            trusted_proxies: self.trusted_proxies.or(file.trusted_proxies),
            cors_origins: self.cors_origins.or(file.cors_origins),
        }
    }

    fn check(self) -> Result<Config, ConfigError> {
        let listen = self.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listen = listen.parse().map_err(|_| {
            wrong("VERBATIM_LISTEN", format!("{listen} is not ADDRESS:PORT, e.g. {DEFAULT_LISTEN}"))
        })?;
        let data = self.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        if data.as_os_str().is_empty() {
            return Err(wrong("VERBATIM_DATA", "names no folder"));
        }
        let stores = Stores::of(&self, &data)?;
        if matches!(stores, Stores::Cluster { .. }) && self.jwt_secret.is_none() {
            let why = "is missing; every node needs the same, e.g. from: openssl rand -base64 48";
            return Err(wrong("VERBATIM_JWT_SECRET", why));
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
        let (log_file, spans) = (self.log_file()?, self.spans()?);
        Ok(Config {
            listen,
            node: node(self.node)?,
            log_file,
            spans,
            stores,
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
        let Stores::Embedded { event_log, read_model } = config.stores else { panic!("on servers") };
        assert_eq!(event_log, Path::new("./verbatim-data/events.db"));
        assert_eq!(read_model, Path::new("./verbatim-data/read.db"));
    }

    const URLS: [&str; 3] = [
        "event_store_url = 'postgres://me:hunter2@db/chat'",
        "read_model_url = 'mysql://me:hunter2@db/chat'",
        "redis_url = 'redis://:hunter2@cache'",
    ];

    #[test]
    fn three_urls_and_a_secret_make_a_cluster() {
        let all = format!("{}\njwt_secret = '{}'", URLS.join("\n"), "x".repeat(32));
        let config = given(&all).check().unwrap();
        let Stores::Cluster { event_store, redis, .. } = config.stores else { panic!("in files") };
        assert_eq!(
            (event_store.as_str(), redis.as_str()),
            ("postgres://me:hunter2@db/chat", "redis://:hunter2@cache")
        );
    }

    #[test]
    fn a_cluster_lacks_nothing() {
        let names = [EVENT_STORE, READ_MODEL, REDIS];
        for (left_out, name) in names.into_iter().enumerate() {
            let mut urls = URLS.to_vec();
            urls.remove(left_out);
            let error =
                given(&urls.join("\n")).check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("setting {name}: is missing")), "{error}");
        }
        let error = given(&URLS.join("\n")).check().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("setting VERBATIM_JWT_SECRET: is missing"), "{error}");
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
            ("event_store_url = 'oracle://me:hunter2@x'", "VERBATIM_EVENT_STORE_URL"),
            ("event_store_url = 'postgres://'", "VERBATIM_EVENT_STORE_URL"),
            (
                "event_store_url = 'sqlite:x'\nread_model_url = 'mysql://hunter2@x'",
                "VERBATIM_EVENT_STORE_URL",
            ),
            ("read_model_url = 'sqlite:'", "VERBATIM_READ_MODEL_URL"),
            ("redis_url = 'redis://x'", "VERBATIM_EVENT_STORE_URL"),
            ("jwt_secret = 'hunter2'", "VERBATIM_JWT_SECRET"),
            ("node = 'a b'", "VERBATIM_NODE"),
            ("node = ''", "VERBATIM_NODE"),
            ("log_file = '..'", "VERBATIM_LOG_FILE"),
            ("log_file_mib = 0", "VERBATIM_LOG_FILE_MIB"),
            ("log_files = 1001", "VERBATIM_LOG_FILES"),
            ("otlp_endpoint = 'https://hunter2@x'", "VERBATIM_OTLP_ENDPOINT"),
            ("otlp_endpoint = 'http://'", "VERBATIM_OTLP_ENDPOINT"),
            ("trace_sample = '1.5'", "VERBATIM_TRACE_SAMPLE"),
            ("trace_sample = 'all'", "VERBATIM_TRACE_SAMPLE"),
            ("trusted_proxies = '10.0.0.1, x'", "VERBATIM_TRUSTED_PROXIES"),
            ("cors_origins = 'chat.example'", "VERBATIM_CORS_ORIGINS"),
        ] {
            let error = given(toml).check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(name), "{toml}: {error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
