//! A session's outbound queue: bounded in bytes, never waited for by the sender.

use crate::stomp::MessageTemplate;
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

/// What an item says.
#[derive(Debug, Clone)]
pub enum Payload {
    /// The very bytes to send, shared by all sessions that get the same.
    Ready(Utf8Bytes),
    /// A STOMP message that its client acknowledges: the session adds the `ack` header.
    Acknowledged {
        /// All but what differs between subscribers.
        template: Arc<MessageTemplate>,
        /// Its `message-id`.
        message_id: Arc<str>,
    },
}

/// Something to send, encoded for its session.
#[derive(Debug, Clone)]
pub struct Item {
    /// What to send.
    pub payload: Payload,
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
    /// Received while waiting, so that a wait that is given up loses nothing.
    first: Option<Item>,
    items: mpsc::UnboundedReceiver<Item>,
    level: Arc<Level>,
}

/// A new queue.
#[must_use]
pub fn outbox() -> (Outbox, Inbox) {
    // Unbounded in count: the bound is in bytes, kept by `Level`, and an item has a least cost.
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level::default());
    (Outbox { items: sender, level: level.clone() }, Inbox { first: None, items: receiver, level })
}

fn cost(item: &Item) -> usize {
    let text = match &item.payload {
        Payload::Ready(text) => text.len(),
        Payload::Acknowledged { template, .. } => template.len(),
    };
    text + ITEM_OVERHEAD
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

    /// Closes the session as if it had overflowed: something that should have been in it is not, and the client must
    /// come back and resume.
    pub fn cut_off(&self) {
        self.level.overflowed.store(true, Ordering::Relaxed);
        self.level.changed.notify_one();
    }
}

/// Tells when a queue has overflowed.
#[derive(Debug, Clone)]
pub struct Overflow(Arc<Level>);

impl Overflow {
    /// Waits until the queue has overflowed.
    pub async fn happened(&self) {
        while !self.0.overflowed.load(Ordering::Relaxed) {
            self.0.changed.notified().await;
        }
    }
}

impl Inbox {
    /// Waits until there is something to take; `false` once every [`Outbox`] is gone and nothing is left.
    pub async fn ready(&mut self) -> bool {
        if self.first.is_none() {
            self.first = self.items.recv().await;
        }
        self.first.is_some()
    }

    /// Takes the next item, if there is one, without waiting.
    pub fn take_one(&mut self) -> Option<Item> {
        let item = self.first.take().or_else(|| self.items.try_recv().ok())?;
        self.level.bytes.fetch_sub(cost(&item), Ordering::Relaxed);
        Some(item)
    }

    /// Takes what is there, at most `limit` items, without waiting.
    pub fn take(&mut self, limit: usize) -> Vec<Item> {
        let mut items = Vec::with_capacity(limit.min(self.items.len() + 1));
        items.extend(self.first.take());
        while items.len() < limit
            && let Ok(item) = self.items.try_recv()
        {
            items.push(item);
        }
        self.level.bytes.fetch_sub(items.iter().map(cost).sum(), Ordering::Relaxed);
        items
    }

    /// Takes nothing more, and lets go of what is there.
    pub fn close(&mut self) {
        self.items.close();
        self.take(usize::MAX);
    }

    /// Tells when the queue has overflowed.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        Overflow(self.level.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: usize) -> Item {
        Item { payload: Payload::Ready("x".repeat(bytes).into()), subscription: 0, seq: 0, last: false }
    }

    #[tokio::test]
    async fn what_is_read_makes_room() {
        let (outbox, mut inbox) = outbox();
        let half = OUTBOX_BYTES_MAX / 2 - ITEM_OVERHEAD;
        for _ in 0..10 {
            assert_eq!(outbox.push(item(half)), Ok(()));
            assert!(inbox.ready().await);
            assert_eq!(inbox.take(8).len(), 1);
        }
    }

    #[tokio::test]
    async fn one_byte_too_many_closes_for_good() {
        let (outbox, mut inbox) = outbox();
        assert_eq!(outbox.push(item(OUTBOX_BYTES_MAX - ITEM_OVERHEAD)), Ok(()));
        assert_eq!(outbox.push(item(0)), Err(Closed::Overflow));
        inbox.take(8);
        assert_eq!(outbox.push(item(0)), Err(Closed::Overflow));
        inbox.overflow().happened().await;
    }

    #[tokio::test]
    async fn a_session_that_is_gone_takes_nothing() {
        let (outbox, inbox) = outbox();
        drop(inbox);
        assert_eq!(outbox.push(item(1)), Err(Closed::Gone));
    }
}
