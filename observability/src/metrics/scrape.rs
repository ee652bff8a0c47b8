//! What a scrape shows: gauges that are asked rather than told, and what is there from the start.

use super::Metrics;
use crate::{
    host::free_bytes,
    logging::{LOG_EVENTS, LOG_LINES_LOST},
};
use prometheus::{Encoder, IntGauge, Opts, TextEncoder};
use std::{
    fmt,
    path::PathBuf,
    // The std mutex: it is held while gauges are asked, never across an await.
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Commands of the command bus.
const COMMANDS: [&str; 15] = [
    "register_member",
    "change_display_name",
    "change_password",
    "change_role",
    "claim_email",
    "create_group",
    "open_direct",
    "join_room",
    "add_member",
    "leave_room",
    "remove_member",
    "send_message",
    "edit_message",
    "delete_message",
    "mark_read",
];
/// Commands of STOMP clients.
const STOMP_COMMANDS: [&str; 11] = [
    "CONNECT",
    "STOMP",
    "SEND",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "BEGIN",
    "COMMIT",
    "ABORT",
    "ACK",
    "NACK",
    "DISCONNECT",
];

type Look = dyn Fn() + Send + Sync;

/// What is done before each scrape.
#[derive(Default)]
pub(super) struct Before(Mutex<Vec<Box<Look>>>);

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Before")
    }
}

impl Metrics {
    /// What others count, and what is there from the start: `increase()` misses what is born above 0.
    pub(super) fn begin(&self) -> Result<(), prometheus::Error> {
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        self.registry.register(Box::new(LOG_EVENTS.all.clone()))?;
        self.registry.register(Box::new(LOG_LINES_LOST.clone()))?;
        let version = Opts::new("verbatim_build_info", "What runs here.");
        let version = IntGauge::with_opts(version.const_label("version", env!("CARGO_PKG_VERSION")))?;
        version.set(1);
        self.registry.register(Box::new(version))?;
        for reason in ["slow_client", "violation", "refused", "no_heart_beat", "too_large"] {
            self.sessions_closed.with_label_values(&["stomp", reason]);
        }
        for reason in ["slow_client", "refused", "failed"] {
            self.sessions_closed.with_label_values(&["sse", reason]);
        }
        for outcome in ["ok", "rejected", "failed"] {
            for command in COMMANDS {
                self.commands.with_label_values(&[command, outcome]);
            }
            for command in STOMP_COMMANDS {
                self.stomp_frames.with_label_values(&[command, outcome]);
            }
        }
        self.broadcast_connected.set(1);
        Ok(())
    }

    /// Has something done before each scrape: for gauges that are asked rather than told. It must be quick.
    pub fn before_scrape(&self, look: impl Fn() + Send + Sync + 'static) {
        self.before().push(Box::new(look));
    }

    fn before(&self) -> MutexGuard<'_, Vec<Box<Look>>> {
        // A look that panicked has changed nothing here.
        self.before.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a pool of connections (`postgres`, `mysql`, `redis`, `sqlite`) by asking it for those `(used, idle)`.
    pub fn pool(&self, name: &'static str, ask: impl Fn() -> (usize, usize) + Send + Sync + 'static) {
        let [used, idle] =
            ["used", "idle"].map(|state| self.pool_connections.with_label_values(&[name, state]));
        self.before_scrape(move || {
            let (in_use, at_rest) = ask();
            used.set(i64::try_from(in_use).unwrap_or(i64::MAX));
            idle.set(i64::try_from(at_rest).unwrap_or(i64::MAX));
        });
    }

    /// Shows how much room there is where this folder is.
    pub fn data_folder(&self, path: PathBuf) {
        let free = self.data_free_bytes.clone();
        self.before_scrape(move || {
            if let Some(bytes) = free_bytes(&path) {
                free.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        });
    }

    /// All metrics as Prometheus text, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        for look in self.before().iter() {
            look();
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}
