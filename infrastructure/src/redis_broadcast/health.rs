//! Whether Redis can be reached, told once each time that changes.

use super::RedisObserver;
use std::sync::{
    // The std mutex: never held across an await.
    Arc,
    Mutex,
    MutexGuard,
    PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Publisher,
    Receiver,
}

#[derive(Debug, Default)]
struct Parts {
    publisher: bool,
    receiver: bool,
    /// What was logged last.
    told: Option<bool>,
}

/// Both connections seen as one.
pub(super) struct Health {
    parts: Mutex<Parts>,
    connected: AtomicBool,
    observer: Arc<dyn RedisObserver>,
}

impl Health {
    pub(super) fn new(observer: Arc<dyn RedisObserver>) -> Self {
        Self { parts: Mutex::default(), connected: AtomicBool::new(false), observer }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> usize {
        let parts = self.parts();
        usize::from(parts.publisher) + usize::from(parts.receiver)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, part: Part, up: bool) -> (Option<bool>, bool) {
        let mut parts = self.parts();
        match part {
            Part::Publisher => parts.publisher = up,
            Part::Receiver => parts.receiver = up,
        }
        let connected = parts.publisher && parts.receiver;
        // While one is down and the other is not, nothing new is told.
        let told = (connected == up).then_some(connected).filter(|now| parts.told != Some(*now));
        let first = parts.told.is_none();
        parts.told = told.or(parts.told);
        self.connected.store(connected, Ordering::Relaxed);
        if told.is_some() {
            self.observer.connected(connected);
        }
        (told, first)
    }

    pub(super) fn up(&self, part: Part) {
        if let (Some(true), first) = self.set(part, true) {
            if !first {
                self.observer.reconnected();
            }
            tracing::info!("Redis is there; changes go by it");
        }
    }

    pub(super) fn down(&self, part: Part, error: &str) {
        if let (Some(false), _) = self.set(part, false) {
            tracing::error!(
                error,
                "Redis can't be reached; changes are read from the read models until it is back"
            );
        }
    }
}
