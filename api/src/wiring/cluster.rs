//! Everything on servers: PostgreSQL, MySQL and Redis.

use super::{Failure, Parts};
use crate::{
    config::Config,
    operations::Dependency,
    telemetry::{Projected, Telemetry},
    verbs::Verbs,
};
use async_trait::async_trait;
use std::sync::Arc;
use verbatim_application::ports::{Broadcast, Clock, Delivery, EventLog, Leadership, PushSource, PushStream};
use verbatim_infrastructure::{
    JwtSecret, PostgresEventLog, PostgresLeadership, PostgresLogOptions, PostgresSessions,
    PostgresSessionsOptions, RedisBroadcast, SystemClock, postgres, sessions::REFRESH_LIFETIME,
    sqlite_log::Report,
};
use verbatim_migrations::{event_log, sessions};
use verbatim_projections::{Admin, Options as ReadOptions, ReadModels, RedisUnread, RedisUnreadAdmin};

/// URLs of all servers.
#[derive(Clone, Copy)]
pub(super) struct Servers<'a> {
    pub(super) event_store: &'a str,
    pub(super) read_model: &'a str,
    pub(super) redis: &'a str,
}

pub(super) async fn open_log(event_store: &str) -> Result<Arc<PostgresEventLog>, Failure> {
    let options = PostgresLogOptions::default();
    Ok(Arc::new(PostgresEventLog::open(event_store, event_log::POSTGRES, options).await?))
}

pub(super) async fn open_verbs(
    read_model: &str,
    redis: &str,
    log: Arc<dyn EventLog>,
) -> Result<Verbs, Failure> {
    let redis = RedisUnreadAdmin::open(redis, log.clone(), Arc::new(SystemClock))?;
    Ok(Verbs::new(Admin::open(read_model, log, Arc::new(SystemClock)).await?, Some(redis)))
}

pub(super) async fn migrate_sessions(event_store: &str) -> Result<(), Failure> {
    PostgresSessions::open(event_store, sessions::POSTGRES, PostgresSessionsOptions::default()).await?;
    Ok(())
}

pub(super) async fn check_log(event_store: &str) -> Result<Report, Failure> {
    Ok(postgres::deep_check(event_store).await?)
}

pub(super) async fn open(
    config: &Config,
    servers: Servers<'_>,
    clock: &Arc<dyn Clock>,
    telemetry: &Arc<Telemetry>,
) -> Result<Parts, Failure> {
    // Checked with the settings; an empty one is refused here as any other that is too short.
    let secret = JwtSecret::parse(config.jwt_secret.as_deref().unwrap_or_default());
    let secret = secret.map_err(|error| Failure::Secret(Box::new(error)))?;
    let in_postgres = open_log(servers.event_store).await?;
    let log: Arc<dyn EventLog> = in_postgres.clone();
    let sessions =
        PostgresSessions::open(servers.event_store, sessions::POSTGRES, PostgresSessionsOptions::default())
            .await?;
    telemetry.pool_of_postgres(&in_postgres, &sessions);
    let leadership: Arc<dyn Leadership> = Arc::new(PostgresLeadership::new(servers.event_store)?);
    let broadcast = RedisBroadcast::start(servers.redis, telemetry.clone())
        .map_err(|error| Failure::Redis(Box::new(error)))?;
    let projected = Projected::new("read_models", &telemetry.0, clock.clone(), log.head_hint());
    let read_models = ReadModels::open_with(
        servers.read_model,
        log.clone(),
        broadcast.clone(),
        clock.clone(),
        ReadOptions { observer: Arc::new(projected.clone()), leadership: Some(leadership.clone()) },
    )
    .await?;
    projected.follow(read_models.applied());
    telemetry.pool_of_read_models("mysql", &read_models);
    broadcast.replay_from(read_models.replay());
    let in_redis = Projected::new("unread_redis", &telemetry.0, clock.clone(), log.head_hint());
    let redis_unread = RedisUnread::open(
        servers.redis,
        log.clone(),
        read_models.unread(),
        read_models.positions(),
        clock.clone(),
        Arc::new(in_redis.clone()),
        Some(leadership),
    )?;
    in_redis.follow(redis_unread.applied());
    telemetry.pool_of_redis(&broadcast, &redis_unread);
    let redis = {
        let (broadcast, unread) = (broadcast.clone(), redis_unread.clone());
        move || match (broadcast.is_connected(), unread.is_connected()) {
            (true, true) => Ok(()),
            (false, true) => Err("pushes do not go through it and are read from the log".to_owned()),
            (true, false) => Err("counts are read from the relational read models".to_owned()),
            (false, false) => Err("it does not answer; everything works without it, more slowly".to_owned()),
        }
    };
    Ok(Parts {
        dependencies: vec![
            Dependency::log(log.clone()),
            Dependency::read_models(read_models.clone()),
            Dependency::luxury("redis", redis),
        ],
        sessions: Arc::new(sessions.store(REFRESH_LIFETIME)),
        logins: Arc::new(sessions.limiter()),
        tickets: Arc::new(sessions.tickets()),
        secret,
        broadcast: broadcast as Arc<dyn Broadcast>,
        unread: redis_unread.reader(),
        positions: redis_unread.positions(),
        redis_unread: Some(redis_unread),
        projected,
        read_models,
        log,
    })
}

/// Pushes of which the unread counts know: none is shown before counts from Redis include it.
struct Promised {
    pushes: PushStream,
    unread: RedisUnread,
}

#[async_trait]
impl PushSource for Promised {
    async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.pushes.next().await?;
        let upto = match &delivery {
            Delivery::Changes(pushes) => pushes.iter().map(|push| push.position).max().unwrap_or(0),
            Delivery::Missed { upto } => *upto,
        };
        self.unread.promise(upto);
        Some(delivery)
    }
}

pub(super) fn promised(pushes: PushStream, unread: RedisUnread) -> PushStream {
    Box::new(Promised { pushes, unread })
}
