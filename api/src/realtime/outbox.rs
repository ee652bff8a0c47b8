//! A session's outbound queue: bounded in bytes, never waited for by the sender.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Most bytes that wait for one session. One more closes it: it resumes by `seq`, and nobody else waits for it.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// What an item costs beside its text: its place in the queue.
const ITEM_OVERHEAD: usize = 64;

/// Something to send, encoded for its session.
#[derive(Debug, Clone)]
pub struct Item {
    /// The bytes to send, shared by all sessions that get the same.
    pub text: Utf8Bytes,
    /// For which of the session's subscriptions.
    pub subscription: u32,
    /// The number of a new message, 0 for anything else: what was sent on resuming is dropped by it.
    pub seq: u64,
    /// The subscription ends with this item.
    pub last: bool,
}

/// Why an outbox takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The client reads too slowly.
    Overflow,
    /// The session is gone.
    Gone,
}

#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    overflowed: AtomicBool,
    changed: Notify,
}

/// The hub's end.
#[derive(Debug, Clone)]
pub struct Outbox {
    items: mpsc::UnboundedSender<Item>,
    level: Arc<Level>,
}

/// The session's end.
#[derive(Debug)]
pub struct Inbox {
    items: mpsc::UnboundedReceiver<Item>,
    level: Arc<Level>,
}

/// A new queue.
#[must_use]
pub fn outbox() -> (Outbox, Inbox) {
    // Unbounded in count: the bound is in bytes, kept by `Level`, and an item has a least cost.
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level::default());
    (Outbox { items: sender, level: level.clone() }, Inbox { items: receiver, level })
}

fn cost(item: &Item) -> usize {
    item.text.len() + ITEM_OVERHEAD
}

impl Outbox {
    /// Queues an item; never waits.
    ///
    /// # Errors
    /// [`Closed`]: nothing more will be taken.
    pub fn push(&self, item: Item) -> Result<(), Closed> {
        if self.level.overflowed.load(Ordering::Relaxed) {
            return Err(Closed::Overflow);
        }
        let cost = cost(&item);
        // Relaxed: the count is a budget, it orders nothing; the channel does.
        if self.level.bytes.fetch_add(cost, Ordering::Relaxed) + cost > OUTBOX_BYTES_MAX {
            self.level.overflowed.store(true, Ordering::Relaxed);
            self.level.changed.notify_one();
            return Err(Closed::Overflow);
        }
        self.items.send(item).map_err(|_| Closed::Gone)
    }
}

impl Inbox {
    /// Waits for items, appends up to `limit` of them, and says how many; 0 once every [`Outbox`] is gone.
    pub async fn receive(&mut self, items: &mut Vec<Item>, limit: usize) -> usize {
        let before = items.len();
        let count = self.items.recv_many(items, limit).await;
        let taken: usize = items.iter().skip(before).map(cost).sum();
        self.level.bytes.fetch_sub(taken, Ordering::Relaxed);
        count
    }

    /// Waits until the queue has overflowed.
    pub async fn overflow(&self) {
        while !self.level.overflowed.load(Ordering::Relaxed) {
            self.level.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: usize) -> Item {
        Item { text: "x".repeat(bytes).into(), subscription: 0, seq: 0, last: false }
    }

    #[tokio::test]
    async fn what_is_read_makes_room() {
        let (outbox, mut inbox) = outbox();
        let half = OUTBOX_BYTES_MAX / 2 - ITEM_OVERHEAD;
        let mut items = Vec::new();
        for _ in 0..10 {
            assert_eq!(outbox.push(item(half)), Ok(()));
            assert_eq!(inbox.receive(&mut items, 8).await, 1);
        }
        assert_eq!(items.len(), 10);
    }

    #[tokio::test]
    async fn one_byte_too_many_closes_for_good() {
        let (outbox, mut inbox) = outbox();
        assert_eq!(outbox.push(item(OUTBOX_BYTES_MAX - ITEM_OVERHEAD)), Ok(()));
        assert_eq!(outbox.push(item(0)), Err(Closed::Overflow));
        inbox.receive(&mut Vec::new(), 8).await;
        assert_eq!(outbox.push(item(0)), Err(Closed::Overflow));
        inbox.overflow().await;
    }

    #[tokio::test]
    async fn a_session_that_is_gone_takes_nothing() {
        let (outbox, inbox) = outbox();
        drop(inbox);
        assert_eq!(outbox.push(item(1)), Err(Closed::Gone));
    }
}
