//! Connections to databases. What is asked here is let go with the node: the metrics do not keep it open.

use super::Telemetry;
use std::sync::{Arc, Weak};
use verbatim_infrastructure::{PostgresEventLog, PostgresSessions, RedisBroadcast};
use verbatim_projections::{ReadModels, RedisUnread};

impl Telemetry {
    /// Shows the pools of the relational read models, under the name of the database (`sqlite`, `mysql`).
    pub(crate) fn pool_of_read_models(&self, name: &'static str, read_models: &ReadModels) {
        let pools = read_models.pools();
        self.0.pool(name, move || {
            let pools = pools().unwrap_or_default();
            let idle = pools.iter().map(|pool| pool.idle).sum();
            let size: usize = pools.iter().map(|pool| pool.size as usize).sum();
            (size.saturating_sub(idle), idle)
        });
    }

    /// Shows the pools of the event log and of the sessions together.
    pub(crate) fn pool_of_postgres(&self, log: &Arc<PostgresEventLog>, sessions: &PostgresSessions) {
        let (log, sessions): (Weak<PostgresEventLog>, _) = (Arc::downgrade(log), sessions.clone());
        self.0.pool("postgres", move || {
            let Some(log) = log.upgrade() else { return (0, 0) };
            let pools = [log.writers(), log.readers(), sessions.connections()];
            (pools.iter().map(|pool| pool.in_use).sum(), pools.iter().map(|pool| pool.idle).sum())
        });
    }

    /// Shows the connections to Redis that work. All calls share them, so none is ever idle.
    pub(crate) fn pool_of_redis(&self, broadcast: &Arc<RedisBroadcast>, unread: &RedisUnread) {
        let (broadcast, unread) = (Arc::downgrade(broadcast), unread.connected());
        self.0.pool("redis", move || {
            let broadcast = broadcast.upgrade().map_or(0, |broadcast| broadcast.connections());
            (broadcast + usize::from(unread()), 0)
        });
    }
}
