//! The only place where ports meet adapters.

use crate::{
    config::{Config, ConfigError, Stores},
    telemetry::Telemetry,
};
use std::{fs::File, path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    App, AppError,
    bus::{Bus, BusTasks},
    ports::{Broadcast, Clock, EventLog, IdGenerator},
};
use verbatim_infrastructure::{
    Argon2Hasher, JwtIssuer, JwtSecret, LocalBroadcast, MemoryTickets, OpenError, SqliteEventLog,
    SqliteLogOptions, SqliteSessions, SystemClock, UuidV7Generator, load_or_create_secret,
    sessions::REFRESH_LIFETIME, sqlite_log, tokens::ACCESS_LIFETIME,
};
use verbatim_migrations::{event_log, sessions};
use verbatim_observability::{LoggingError, Metrics};
use verbatim_projections::{Admin, ProjectionError, ReadModels};

/// Why a command of the command line failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging can't be set up.
    #[error("setting VERBATIM_LOG")]
    Logging(#[from] LoggingError),
    /// Metrics can't be set up.
    #[error("metrics")]
    Metrics(#[from] prometheus::Error),
    /// A file or a socket.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A database file is not sound, or not ours.
    #[error("the data can't be opened")]
    Open(#[from] OpenError),
    /// Another service runs on the same data folder.
    #[error("another verbatim serve runs on the data folder {0}")]
    InUse(String),
    /// The read models.
    #[error("the read models")]
    Projections(#[from] ProjectionError),
    /// A use case.
    #[error("refused")]
    App(#[from] AppError),
    /// The log.
    #[error("the event log")]
    Log(#[from] verbatim_application::ports::LogError),
    /// JSON.
    #[error("JSON")]
    Json(#[from] serde_json::Error),
    /// The signing key.
    #[error("the keys of access tokens and passwords")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something that was checked is not sound.
    #[error("{0}")]
    Unsound(String),
}

impl Failure {
    /// An I/O failure without more to say.
    #[must_use]
    pub fn io(source: std::io::Error) -> Self {
        Self::Io { what: "input or output failed".to_owned(), source }
    }

    /// An I/O failure with what was tried.
    pub fn while_trying(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Opens the event log, creating it if there is none.
///
/// # Errors
/// [`Failure::Open`] when it is not sound; then nothing was touched.
pub fn open_log(config: &Config) -> Result<Arc<dyn EventLog>, Failure> {
    create_data_folder(&config.data)?;
    let Stores::Embedded { event_log: path, .. } = &config.stores else { return Err(no_cluster_yet()) };
    let log = SqliteEventLog::open(path, event_log::SQLITE, SqliteLogOptions::default())?;
    Ok(Arc::new(log))
}

fn no_cluster_yet() -> Failure {
    Failure::Unsound("cluster mode is not wired in yet".to_owned())
}

fn read_model_url(config: &Config) -> String {
    match &config.stores {
        Stores::Embedded { read_model, .. } => format!("sqlite:{}", read_model.display()),
        Stores::Cluster { read_model, .. } => read_model.clone(),
    }
}

fn create_data_folder(path: &Path) -> Result<(), Failure> {
    // Others have no business in it: it holds the key that signs tokens.
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder
        .create(path)
        .map_err(Failure::while_trying(format!("the data folder {} can't be made", path.display())))
}

/// The operators' verbs on the read models, beside a running service or without one.
///
/// # Errors
/// The read models can't be opened.
pub async fn open_admin(config: &Config, log: Arc<dyn EventLog>) -> Result<Admin, Failure> {
    Ok(Admin::open(&read_model_url(config), log, Arc::new(SystemClock)).await?)
}

/// Creates or upgrades both schemas.
///
/// # Errors
/// A database can't be opened.
pub async fn migrate(config: &Config) -> Result<(), Failure> {
    let log = open_log(config)?;
    open_admin(config, log).await?;
    Ok(())
}

/// Reads the whole log and says what it found.
///
/// # Errors
/// [`Failure::Unsound`] with every finding.
pub fn check_log(config: &Config) -> Result<sqlite_log::Report, Failure> {
    let Stores::Embedded { event_log: path, .. } = &config.stores else { return Err(no_cluster_yet()) };
    let report = sqlite_log::deep_check(path)?;
    if report.findings.is_empty() { Ok(report) } else { Err(Failure::Unsound(report.findings.join("\n"))) }
}

/// Holds the data folder for one service: two runners of one set of projections would take each other's pushes.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, if no other process has it. The lock goes with the process, however it ends.
    ///
    /// # Errors
    /// [`Failure::InUse`], or the lock file can't be made.
    pub fn take(data: &Path) -> Result<Self, Failure> {
        create_data_folder(data)?;
        let path = data.join("serve.lock");
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(
                Failure::while_trying(format!("the lock file {} can't be opened", path.display())),
            )?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Failure::InUse(data.display().to_string())),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(Failure::while_trying(format!("{} can't be locked", path.display()))(error))
            }
        }
    }
}

/// Everything of one node but its transports.
pub struct Node {
    /// The use cases.
    pub app: Arc<App>,
    /// The read models.
    pub read_models: ReadModels,
    /// Carries projected changes to the hub.
    pub broadcast: Arc<dyn Broadcast>,
    /// What is counted.
    pub metrics: Metrics,
    bus: BusTasks,
}

impl Node {
    /// Opens everything in the data folder.
    ///
    /// # Errors
    /// Something can't be opened.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let metrics = Metrics::new()?;
        let telemetry = Arc::new(Telemetry(metrics.clone()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdGenerator> = Arc::new(UuidV7Generator);
        let log = open_log(config)?;
        let sessions = SqliteSessions::open(config.data.join("sessions.db"), sessions::SQLITE)?;
        let secret = match &config.jwt_secret {
            Some(secret) => JwtSecret::parse(secret),
            None => load_or_create_secret(config.data.join("jwt.secret")),
        };
        let secret = secret.map_err(|error| Failure::Secret(Box::new(error)))?;
        let passwords = Argon2Hasher::new().map_err(|error| Failure::Secret(Box::new(error)))?;
        let broadcast: Arc<dyn Broadcast> = Arc::new(LocalBroadcast::default());
        let read_models = ReadModels::open_observed(
            &read_model_url(config),
            log.clone(),
            broadcast.clone(),
            clock.clone(),
            telemetry.clone(),
        )
        .await?;
        let (bus, bus_tasks) = Bus::start(log.clone(), clock.clone(), telemetry);
        let app = Arc::new(App {
            bus,
            log,
            clock,
            ids,
            passwords: Arc::new(passwords),
            tokens: Arc::new(JwtIssuer::new(&secret, ACCESS_LIFETIME)),
            sessions: Arc::new(sessions.store(REFRESH_LIFETIME)),
            logins: Arc::new(sessions.limiter()),
            tickets: Arc::new(MemoryTickets::default()),
            history: read_models.history(),
            rooms: read_models.rooms(),
            members: read_models.members(),
            unread: read_models.unread(),
            positions: read_models.positions(),
        });
        Ok(Self { app, read_models, broadcast, metrics, bus: bus_tasks })
    }

    /// Keeps the projections at the head of the log until told to stop.
    pub fn project(&self, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
        let read_models = self.read_models.clone();
        tokio::spawn(async move { read_models.run(stop).await })
    }

    /// Waits until all that was accepted is answered, and lets everything go. Whoever else holds the app must have let
    /// it go before.
    pub async fn close(self) {
        let Self { app, bus, .. } = self;
        drop(app);
        bus.finished().await;
    }
}
