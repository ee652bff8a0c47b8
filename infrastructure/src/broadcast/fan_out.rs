//! From what came in to the hubs of this process, and what becomes of one that falls behind.

use super::Memory;
use async_trait::async_trait;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::broadcast::{self, error::RecvError};
use verbatim_application::{
    error::causes,
    ports::{Delivery, PushSource, REPLAY_MAX, ReadError},
    push::Push,
};

#[derive(Debug, Clone)]
enum Handed {
    Stretch { upto: u64, pushes: Arc<Vec<Push>> },
    Ephemeral(Arc<Vec<Push>>),
    Missed { upto: u64 },
}

/// What every stream knows of what was handed on.
#[derive(Debug)]
struct Known {
    memory: Arc<Memory>,
    /// Where the first stretch began.
    first: OnceLock<u64>,
    /// Where the last one ended, 0 if there was none.
    last: AtomicU64,
}

/// Hands changes to the hubs of this process.
#[derive(Debug, Clone)]
pub(crate) struct FanOut {
    sender: broadcast::Sender<Handed>,
    known: Arc<Known>,
}

impl FanOut {
    /// A hub that is more than `capacity` batches behind misses some.
    pub(crate) fn new(capacity: usize, memory: Arc<Memory>) -> Self {
        let known = Known { memory, first: OnceLock::new(), last: AtomicU64::new(0) };
        Self { sender: broadcast::Sender::new(capacity), known: Arc::new(known) }
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.known.memory
    }

    /// Hands a stretch of the log on.
    pub(crate) fn hand_on(&self, after: u64, upto: u64, pushes: Vec<Push>) {
        self.known.first.get_or_init(|| after);
        self.send(Handed::Stretch { upto, pushes: Arc::new(pushes) });
        // Relaxed: whoever reads an older one has more told again than it needs.
        self.known.last.fetch_max(upto, Ordering::Relaxed);
    }

    /// Hands something on that is not from the log.
    pub(crate) fn ephemeral(&self, push: Push) {
        self.send(Handed::Ephemeral(Arc::new(vec![push])));
    }

    /// Says that nothing up to this position comes any more.
    pub(crate) fn missed(&self, upto: u64) {
        self.send(Handed::Missed { upto });
        self.known.last.fetch_max(upto, Ordering::Relaxed);
    }

    fn send(&self, handed: Handed) {
        // Nobody listening is no error.
        let _ = self.sender.send(handed);
    }

    /// Changes from now on.
    pub(crate) fn subscribe(&self) -> Stream {
        // Before the channel is there, so that no stretch in it is older.
        let last = self.known.last.load(Ordering::Relaxed);
        let receiver = self.sender.subscribe();
        Stream { receiver, known: self.known.clone(), seen: (last > 0).then_some(last), refill: None }
    }
}

/// The changes for one hub.
#[derive(Debug)]
pub(crate) struct Stream {
    receiver: broadcast::Receiver<Handed>,
    known: Arc<Known>,
    /// Everything up to this position was handed on.
    seen: Option<u64>,
    /// Up to where changes that were missed are being told again.
    refill: Option<u64>,
}

impl Stream {
    /// What of a stretch is new.
    fn news(&mut self, upto: u64, pushes: Arc<Vec<Push>>) -> Option<Delivery> {
        let seen = self.seen.unwrap_or(0);
        self.seen = Some(seen.max(upto));
        let old = pushes.partition_point(|push| push.position <= seen);
        match pushes.get(old..) {
            None | Some([]) => None,
            Some(_) if old == 0 => Some(Delivery::Changes(pushes)),
            // Repeated after a crash of the runner.
            Some(new) => Some(Delivery::Changes(Arc::new(new.to_vec()))),
        }
    }

    /// What is to be told again, if it is not too much; otherwise that it is missing.
    async fn fell_behind(&mut self) -> Option<Delivery> {
        let from = self.seen.or_else(|| self.known.first.get().copied());
        let Some(from) = from.filter(|_| self.known.memory.is_there()) else {
            return Some(Delivery::Missed { upto: 0 });
        };
        match self.known.memory.applied().await {
            Ok(applied) if applied.saturating_sub(from) <= REPLAY_MAX => {
                self.seen = Some(from);
                self.refill = Some(applied);
                None
            }
            Ok(applied) => {
                self.seen = Some(applied);
                Some(Delivery::Missed { upto: applied })
            }
            Err(error) => Some(not_told(&error)),
        }
    }

    async fn refill(&mut self, upto: u64) -> Option<Delivery> {
        let seen = self.seen.unwrap_or(0);
        let replayed = match self.known.memory.after(seen).await {
            Ok(replayed) => replayed,
            Err(error) => {
                self.refill = None;
                return Some(not_told(&error));
            }
        };
        if replayed.upto >= upto || replayed.upto <= seen {
            self.refill = None;
        }
        self.news(replayed.upto, Arc::new(replayed.pushes))
    }
}

fn not_told(error: &ReadError) -> Delivery {
    let error = causes(error);
    tracing::error!(error, "what the hub missed can't be told again; it reads the read models instead");
    Delivery::Missed { upto: 0 }
}

#[async_trait]
impl PushSource for Stream {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let delivery = if let Some(upto) = self.refill {
                self.refill(upto).await
            } else {
                match self.receiver.recv().await {
                    Ok(Handed::Stretch { upto, pushes }) => self.news(upto, pushes),
                    Ok(Handed::Ephemeral(pushes)) => Some(Delivery::Changes(pushes)),
                    Ok(Handed::Missed { upto }) => {
                        self.seen = self.seen.max(Some(upto));
                        Some(Delivery::Missed { upto })
                    }
                    Err(RecvError::Closed) => return None,
                    Err(RecvError::Lagged(batches)) => {
                        tracing::warn!(
                            missed = batches,
                            "the hub fell behind the broadcast; it is told again"
                        );
                        self.fell_behind().await
                    }
                }
            };
            if delivery.is_some() {
                return delivery;
            }
        }
    }
}
