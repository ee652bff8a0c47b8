//! Everything in files of this machine.

use super::{Failure, Parts, folder::create_data_folder};
use crate::{
    config::Config,
    operations::Dependency,
    telemetry::{Projected, Telemetry},
    verbs::Verbs,
};
use std::{path::Path, sync::Arc};
use verbatim_application::ports::{Clock, EventLog};
use verbatim_infrastructure::{
    JwtSecret, LocalBroadcast, MemoryTickets, SqliteEventLog, SqliteLogOptions, SqliteSessions, SystemClock,
    load_or_create_secret, sessions::REFRESH_LIFETIME,
};
use verbatim_migrations::{event_log, sessions};
use verbatim_projections::{Admin, ReadModels};

pub(super) fn open_log(data: &Path, path: &Path) -> Result<Arc<dyn EventLog>, Failure> {
    create_data_folder(data)?;
    Ok(Arc::new(SqliteEventLog::open(path, event_log::SQLITE, SqliteLogOptions::default())?))
}

fn url(read_model: &Path) -> String {
    format!("sqlite:{}", read_model.display())
}

pub(super) async fn open_verbs(read_model: &Path, log: Arc<dyn EventLog>) -> Result<Verbs, Failure> {
    Ok(Verbs::new(Admin::open(&url(read_model), log, Arc::new(SystemClock)).await?, None))
}

pub(super) async fn open(
    config: &Config,
    event_log: &Path,
    read_model: &Path,
    clock: &Arc<dyn Clock>,
    telemetry: &Arc<Telemetry>,
) -> Result<Parts, Failure> {
    let log = open_log(&config.data, event_log)?;
    let sessions = SqliteSessions::open(config.data.join("sessions.db"), sessions::SQLITE)?;
    let secret = match &config.jwt_secret {
        Some(secret) => JwtSecret::parse(secret),
        None => load_or_create_secret(config.data.join("jwt.secret")),
    };
    let secret = secret.map_err(|error| Failure::Secret(Box::new(error)))?;
    let broadcast = Arc::new(LocalBroadcast::default());
    let projected = Projected::new("read_models", &telemetry.0, clock.clone(), log.head_hint());
    let read_models = ReadModels::open_observed(
        &url(read_model),
        log.clone(),
        broadcast.clone(),
        clock.clone(),
        Arc::new(projected.clone()),
    )
    .await?;
    projected.follow(read_models.applied());
    telemetry.pool_of_read_models("sqlite", &read_models);
    broadcast.replay_from(read_models.replay());
    telemetry.0.broadcast_connected.set(1);
    Ok(Parts {
        dependencies: vec![Dependency::log(log.clone()), Dependency::read_models(read_models.clone())],
        sessions: Arc::new(sessions.store(REFRESH_LIFETIME)),
        logins: Arc::new(sessions.limiter()),
        tickets: Arc::new(MemoryTickets::default()),
        secret,
        broadcast,
        unread: read_models.unread(),
        positions: read_models.positions(),
        redis_unread: None,
        projected,
        read_models,
        log,
    })
}
