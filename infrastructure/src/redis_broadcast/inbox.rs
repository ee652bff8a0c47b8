//! What comes from the connections that subscribe, in order, until the receiver gets to it.

use redis::{PushInfo, PushKind, Value};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

/// Most bytes of changes that wait for the receiver. What comes beyond is dropped, and replayed later.
pub(super) const INBOX_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a message costs beside its text.
const MESSAGE_OVERHEAD: usize = 256;

/// Something that happened to the connections.
#[derive(Debug)]
pub(super) enum Event {
    /// They are there; this many partitions are on them.
    Connected(u16),
    /// Redis sent something.
    Push(PushInfo),
    /// They are gone, for this reason.
    Lost(String),
}

/// With the number of the attempt to connect that it comes from.
pub(super) type Item = (u64, Event);

#[derive(Debug, Default)]
struct Level {
    bytes: AtomicUsize,
    dropped: AtomicBool,
}

/// The connections' end.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    items: mpsc::UnboundedSender<Item>,
    level: Arc<Level>,
}

/// The receiver's end.
#[derive(Debug)]
pub(super) struct Inbox {
    items: mpsc::UnboundedReceiver<Item>,
    level: Arc<Level>,
}

pub(super) fn inbox() -> (Sender, Inbox) {
    // Unbounded in count: the bound is in bytes, kept by `Level`. What is no change is rare: an answer to a request.
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level::default());
    (Sender { items: sender, level: level.clone() }, Inbox { items: receiver, level })
}

/// What a change costs; 0 for anything else.
fn cost(event: &Event) -> usize {
    let Event::Push(PushInfo { kind: PushKind::Message | PushKind::SMessage, data }) = event else {
        return 0;
    };
    let texts = data.iter().map(|value| match value {
        Value::BulkString(text) => text.len(),
        _ => 0,
    });
    MESSAGE_OVERHEAD + texts.sum::<usize>()
}

impl Sender {
    /// Queues what happened; never waits.
    pub(super) fn send(&self, attempt: u64, event: Event) {
        let cost = cost(&event);
        // Relaxed: the count is a budget, it orders nothing; the channel does.
        if cost > 0 && self.level.bytes.fetch_add(cost, Ordering::Relaxed) + cost > INBOX_BYTES_MAX {
            self.level.bytes.fetch_sub(cost, Ordering::Relaxed);
            self.level.dropped.store(true, Ordering::SeqCst);
            return;
        }
        // Nobody takes it: the service stops.
        let _ = self.items.send((attempt, event));
    }
}

impl Inbox {
    pub(super) async fn next(&mut self) -> Option<Item> {
        let item = self.items.recv().await?;
        self.level.bytes.fetch_sub(cost(&item.1), Ordering::Relaxed);
        Some(item)
    }

    /// Whether something was dropped since this was last asked.
    pub(super) fn dropped(&self) -> bool {
        self.level.dropped.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Event {
        let data = vec![Value::BulkString(b"channel".to_vec()), Value::BulkString(vec![b'x'; bytes])];
        Event::Push(PushInfo { kind: PushKind::Message, data })
    }

    #[tokio::test]
    async fn what_is_too_much_is_dropped_and_that_is_known() {
        let (sender, mut inbox) = inbox();
        sender.send(1, message(INBOX_BYTES_MAX - 1_000));
        assert!(!inbox.dropped());
        sender.send(1, message(1_000));
        sender.send(1, Event::Lost("whatever".to_owned()));
        assert!(inbox.dropped());
        assert!(!inbox.dropped());
        assert!(matches!(inbox.next().await, Some((1, Event::Push(_)))));
        sender.send(1, message(1_000));
        assert!(
            matches!(inbox.next().await, Some((1, Event::Lost(_)))),
            "what is no change is never dropped"
        );
        assert!(matches!(inbox.next().await, Some((1, Event::Push(_)))));
        assert!(!inbox.dropped());
    }
}
