//! A pool of connections that can be left behind.

use sea_orm::{DatabaseConnection, DbBackend};
use std::{
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

/// A pool this young is not replaced again.
const RENEW_AFTER: Duration = Duration::from_secs(5);

/// How many connections a pool has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// What it is for: `write` or `read`.
    pub name: &'static str,
    /// All connections.
    pub size: u32,
    /// Those that nobody uses now.
    pub idle: usize,
}

type Make = Box<dyn Fn() -> DatabaseConnection + Send + Sync>;

/// The connections in use now. When a line is cut without either end being told, those that were waiting for an answer
/// wait until the kernel gives up, a quarter of an hour later, and so would everybody who needs one of them.
pub(super) struct Pool {
    name: &'static str,
    make: Option<Make>,
    current: RwLock<(DatabaseConnection, Instant)>,
}

impl Pool {
    /// One that stays.
    pub(super) fn fixed(name: &'static str, db: DatabaseConnection) -> Self {
        Self { name, make: None, current: RwLock::new((db, Instant::now())) }
    }

    /// One that can be made again.
    pub(super) fn renewable(
        name: &'static str,
        make: impl Fn() -> DatabaseConnection + Send + Sync + 'static,
    ) -> Self {
        let current = RwLock::new((make(), Instant::now()));
        Self { name, make: Some(Box::new(make)), current }
    }

    pub(super) fn get(&self) -> DatabaseConnection {
        self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Replaces it, if that can be, and was not done just now. Who uses a connection of the old one goes on with it; the
    /// last one closes it.
    pub(super) fn renew(&self) {
        let Some(make) = &self.make else { return };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.1.elapsed() >= RENEW_AFTER {
            *current = (make(), Instant::now());
        }
    }

    pub(super) fn status(&self) -> PoolStatus {
        let db = self.get();
        let (size, idle) = match db.get_database_backend() {
            DbBackend::MySql => {
                let pool = db.get_mysql_connection_pool();
                (pool.size(), pool.num_idle())
            }
            _ => {
                let pool = db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        PoolStatus { name: self.name, size, idle }
    }
}
