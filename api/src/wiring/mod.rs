//! The only place where ports meet adapters.

mod cluster;
mod embedded;
mod folder;

pub use folder::FolderLock;

use crate::{
    config::{Config, ConfigError, Stores},
    operations::Dependency,
    telemetry::{Projected, Telemetry},
    verbs::Verbs,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    App, AppError,
    bus::{Bus, BusTasks},
    ports::{
        Broadcast, Clock, EventLog, IdGenerator, LoginLimiter, Positions, PushStream, SessionStore,
        TicketStore, UnreadReader,
    },
};
use verbatim_infrastructure::{
    Argon2Hasher, JwtIssuer, JwtSecret, OpenError, PostgresOpenError, SystemClock, UuidV7Generator,
    sqlite_log, tokens::ACCESS_LIFETIME,
};
use verbatim_observability::{LoggingError, Metrics, SpanError};
use verbatim_projections::{ProjectionError, ReadModels, RedisUnread};

/// Why a command of the command line failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging can't be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// Spans can't be exported.
    #[error(transparent)]
    Spans(#[from] SpanError),
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
    /// PostgreSQL can't be used.
    #[error("PostgreSQL (VERBATIM_EVENT_STORE_URL)")]
    Postgres(#[from] PostgresOpenError),
    /// Redis can't be used.
    #[error("Redis (VERBATIM_REDIS_URL)")]
    Redis(#[source] Box<dyn std::error::Error + Send + Sync>),
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
/// It is not sound, and then nothing was touched; or it is not there.
pub async fn open_log(config: &Config) -> Result<Arc<dyn EventLog>, Failure> {
    match &config.stores {
        Stores::Embedded { event_log, .. } => embedded::open_log(&config.data, event_log),
        Stores::Cluster { event_store, .. } => Ok(cluster::open_log(event_store).await?),
    }
}

/// The operators' verbs on the read models, beside a running service or without one.
///
/// # Errors
/// The read models can't be opened.
pub async fn open_verbs(config: &Config, log: Arc<dyn EventLog>) -> Result<Verbs, Failure> {
    match &config.stores {
        Stores::Embedded { read_model, .. } => embedded::open_verbs(read_model, log).await,
        Stores::Cluster { read_model, redis, .. } => cluster::open_verbs(read_model, redis, log).await,
    }
}

/// Creates or upgrades all schemas; answers where they are.
///
/// # Errors
/// A database can't be opened.
pub async fn migrate(config: &Config) -> Result<String, Failure> {
    if let Stores::Cluster { event_store, .. } = &config.stores {
        cluster::migrate_sessions(event_store).await?;
    }
    let log = open_log(config).await?;
    open_verbs(config, log).await?;
    Ok(match &config.stores {
        Stores::Embedded { .. } => config.data.display().to_string(),
        Stores::Cluster { .. } => "PostgreSQL and MySQL".to_owned(),
    })
}

/// Reads the whole log and says what it found.
///
/// # Errors
/// [`Failure::Unsound`] with every finding.
pub async fn check_log(config: &Config) -> Result<sqlite_log::Report, Failure> {
    let report = match &config.stores {
        Stores::Embedded { event_log, .. } => sqlite_log::deep_check(event_log)?,
        Stores::Cluster { event_store, .. } => cluster::check_log(event_store).await?,
    };
    if report.findings.is_empty() { Ok(report) } else { Err(Failure::Unsound(report.findings.join("\n"))) }
}

/// What a place to keep things gives a node.
struct Parts {
    log: Arc<dyn EventLog>,
    sessions: Arc<dyn SessionStore>,
    logins: Arc<dyn LoginLimiter>,
    tickets: Arc<dyn TicketStore>,
    secret: JwtSecret,
    broadcast: Arc<dyn Broadcast>,
    read_models: ReadModels,
    unread: Arc<dyn UnreadReader>,
    positions: Arc<dyn Positions>,
    redis_unread: Option<RedisUnread>,
    projected: Projected,
    dependencies: Vec<Dependency>,
}

/// Everything of one node but its transports.
pub struct Node {
    /// The use cases.
    pub app: Arc<App>,
    /// The relational read models.
    pub read_models: ReadModels,
    /// Carries projected changes to the hub.
    pub broadcast: Arc<dyn Broadcast>,
    /// What is counted.
    pub metrics: Metrics,
    /// What it needs to be ready.
    pub(crate) dependencies: Vec<Dependency>,
    redis_unread: Option<RedisUnread>,
    projected: Projected,
    bus: BusTasks,
}

impl Node {
    /// Opens everything.
    ///
    /// # Errors
    /// Something can't be opened.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let metrics = Metrics::new()?;
        let telemetry = Arc::new(Telemetry(metrics.clone()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdGenerator> = Arc::new(UuidV7Generator);
        let parts = match &config.stores {
            Stores::Embedded { event_log, read_model } => {
                embedded::open(config, event_log, read_model, &clock, &telemetry).await?
            }
            Stores::Cluster { event_store, read_model, redis } => {
                let servers = cluster::Servers { event_store, read_model, redis };
                cluster::open(config, servers, &clock, &telemetry).await?
            }
        };
        metrics.data_folder(config.data.clone());
        let passwords = Argon2Hasher::new().map_err(|error| Failure::Secret(Box::new(error)))?;
        let (bus, bus_tasks) = Bus::start(parts.log.clone(), clock.clone(), telemetry);
        let app = Arc::new(App {
            bus,
            log: parts.log,
            clock,
            ids,
            passwords: Arc::new(passwords),
            tokens: Arc::new(JwtIssuer::new(&parts.secret, ACCESS_LIFETIME)),
            sessions: parts.sessions,
            logins: parts.logins,
            tickets: parts.tickets,
            history: parts.read_models.history(),
            rooms: parts.read_models.rooms(),
            members: parts.read_models.members(),
            unread: parts.unread,
            positions: parts.positions,
        });
        Ok(Self {
            app,
            read_models: parts.read_models,
            broadcast: parts.broadcast,
            metrics,
            dependencies: parts.dependencies,
            redis_unread: parts.redis_unread,
            projected: parts.projected,
            bus: bus_tasks,
        })
    }

    /// The operators' verbs on this node's read models.
    #[must_use]
    pub fn verbs(&self) -> Verbs {
        Verbs::new(self.read_models.admin(), self.redis_unread.as_ref().map(RedisUnread::admin))
    }

    /// Projected changes from now on.
    #[must_use]
    pub fn pushes(&self) -> PushStream {
        let pushes = self.broadcast.subscribe();
        match &self.redis_unread {
            Some(unread) => cluster::promised(pushes, unread.clone()),
            None => pushes,
        }
    }

    /// Keeps the projections at the head of the log until told to stop; in a cluster, while no other node does.
    pub fn project(&self, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
        let (read_models, redis_unread) = (self.read_models.clone(), self.redis_unread.clone());
        let (projected, mut leading) = (self.projected.clone(), read_models.leading());
        tokio::spawn(async move {
            let shown = async {
                // Never ends: the sender lives in the read models that run beside this.
                projected.lead(*leading.borrow_and_update());
                while leading.changed().await.is_ok() {
                    projected.lead(*leading.borrow_and_update());
                }
            };
            let in_redis = async {
                if let Some(unread) = &redis_unread {
                    unread.run(stop.clone()).await;
                }
            };
            let run = async { tokio::join!(read_models.run(stop.clone()), in_redis) };
            tokio::select! {
                _ = run => {}
                () = shown => {}
            }
        })
    }

    /// Waits until all that was accepted is answered, and lets everything go. Whoever else holds the app must have let
    /// it go before.
    pub async fn close(self) {
        let Self { app, bus, .. } = self;
        drop(app);
        bus.finished().await;
    }
}
