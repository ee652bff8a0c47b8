//! Where all clients of a run write down what they did and were told.

use crate::ids::{MemberId, RoomId};
use crate::oracle::records::{Ack, Change, Delivery, Push, Read, Records, Send, Subscriber, Tick};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Incidents that are kept; one broken promise tends to break a thousand times.
const MAX_INCIDENTS: usize = 100;

/// Number of a send in [`Records::sends`].
pub(super) type SendNumber = usize;

/// The shared record. The lock is a std one: it is held for a push, or a copy at the end of a round, and never across
/// an await.
#[derive(Debug, Default)]
pub(super) struct Journal {
    clock: AtomicU64,
    records: Mutex<Records>,
    /// Told after each send, delivery and push, for those who wait until so much has happened.
    arrived: Notify,
}

impl Journal {
    /// The next moment of logical time.
    pub(super) fn tick(&self) -> Tick {
        self.clock.fetch_add(1, SeqCst)
    }

    /// A poisoned lock means that a client panicked between two pushes; what is recorded is still true.
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a send before it goes out.
    pub(super) fn begin(&self, room: RoomId, sender: MemberId, key: String, body: String) -> SendNumber {
        let started = self.tick();
        let mut records = self.records();
        records.sends.push(Send { room, sender, key, body, started, acks: Vec::new(), refused: false });
        self.arrived.notify_waiters();
        records.sends.len() - 1
    }

    /// A copy of a send as it stands.
    pub(super) fn send(&self, number: SendNumber) -> Option<Send> {
        self.records().sends.get(number).cloned()
    }

    /// Notes an answer to a send; call it right after the answer came in.
    pub(super) fn acknowledge(&self, number: SendNumber, seq: u64, message_id: crate::ids::MessageId) {
        let at = self.tick();
        if let Some(send) = self.records().sends.get_mut(number) {
            send.acks.push(Ack { seq, message_id, at });
        }
    }

    /// Notes that a send was refused, and no attempt before it may have been done.
    pub(super) fn refuse(&self, number: SendNumber) {
        if let Some(send) = self.records().sends.get_mut(number) {
            send.refused = send.acks.is_empty();
        }
    }

    /// Notes an edit or a deletion.
    pub(super) fn change(&self, change: Change) {
        self.records().changes.push(change);
    }

    /// Notes what moves a read cursor.
    pub(super) fn read(&self, read: Read) {
        self.records().reads.push(read);
    }

    /// A new subscriber that should get everything in the room; answers its number.
    pub(super) fn subscriber(&self, name: String, room: RoomId) -> usize {
        let mut records = self.records();
        records.subscribers.push(Subscriber { name, room, after: 0, deliveries: Vec::new() });
        records.subscribers.len() - 1
    }

    /// Notes a delivery to a subscriber.
    pub(super) fn deliver(&self, subscriber: usize, delivery: Delivery) {
        if let Some(subscriber) = self.records().subscribers.get_mut(subscriber) {
            subscriber.deliveries.push(delivery);
        }
        self.arrived.notify_waiters();
    }

    /// Notes an unread push.
    pub(super) fn push(&self, member: MemberId, room: RoomId, push: Push) {
        self.records().pushes.insert((member, room), push);
        self.arrived.notify_waiters();
    }

    /// Wakes those who wait in [`until`](Self::until) for something that is not in the records.
    pub(super) fn arrival(&self) {
        self.arrived.notify_waiters();
    }

    /// Notes something that is wrong whatever history says.
    pub(super) fn incident(&self, what: String) {
        let mut records = self.records();
        if records.incidents.len() < MAX_INCIDENTS {
            records.incidents.push(what);
        }
    }

    /// Waits until the records satisfy `done`; the caller sets the time limit.
    pub(super) async fn until(&self, done: impl Fn(&Records) -> bool) {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if done(&self.records()) {
                return;
            }
            arrived.await;
        }
    }
}
