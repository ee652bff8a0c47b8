//! The subscriptions of one session, by the number their items carry.

use crate::{
    realtime::{Encoding, Item, Subscription},
    stomp::session::SubscriptionKey,
};
use std::collections::{HashMap, VecDeque};
use verbatim_domain::RoomId;

/// Items that wait for acknowledgments of earlier ones. More close the session: it is slow.
pub(super) const HELD_MAX: usize = 4_096;

/// One subscription of a session.
pub(super) struct Slot {
    pub(super) key: SubscriptionKey,
    pub(super) encoding: Encoding,
    /// Everything up to this message was sent on resuming; live ones up to it are dropped.
    pub(super) resumed_to: u64,
    /// It is being sent what it missed: live messages are dropped, for history has them already.
    pub(super) resuming: bool,
    /// Waiting for acknowledgments.
    pub(super) held: VecDeque<Item>,
    /// Ends the subscription in the hub when dropped.
    _subscription: Subscription,
}

/// A part of history that a subscription wants first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resume {
    pub(super) slot: u32,
    pub(super) room: RoomId,
    pub(super) after: u64,
}

/// All subscriptions of a session.
#[derive(Default)]
pub(super) struct Slots {
    next: u32,
    by_number: HashMap<u32, Slot>,
    /// What is still to be read from history, one after the other.
    pub(super) resumes: VecDeque<Resume>,
}

impl Slots {
    /// A number for the next subscription.
    pub(super) fn next(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    pub(super) fn open(
        &mut self,
        number: u32,
        key: SubscriptionKey,
        encoding: Encoding,
        subscription: Subscription,
        resume: Option<(RoomId, u64)>,
    ) {
        let slot = Slot {
            key,
            encoding,
            // The client has all of this, whether the hub has seen it yet or not.
            resumed_to: resume.map_or(0, |(_, after)| after),
            resuming: resume.is_some(),
            held: VecDeque::new(),
            _subscription: subscription,
        };
        self.by_number.insert(number, slot);
        if let Some((room, after)) = resume {
            self.resumes.push_back(Resume { slot: number, room, after });
        }
    }

    /// The next part of history to read, which is then the first of `resumes`. A subscription whose client is to
    /// acknowledge first is passed over.
    pub(super) fn due(&mut self) -> Option<Resume> {
        let may = |resume: &Resume| self.by_number.get(&resume.slot).is_none_or(|slot| slot.held.is_empty());
        let at = self.resumes.iter().position(may)?;
        self.resumes.rotate_left(at);
        self.resumes.front().copied()
    }

    pub(super) fn get(&mut self, number: u32) -> Option<&mut Slot> {
        self.by_number.get_mut(&number)
    }

    pub(super) fn close(&mut self, number: u32) {
        self.by_number.remove(&number);
    }

    pub(super) fn close_key(&mut self, key: &SubscriptionKey) {
        self.by_number.retain(|_, slot| slot.key != *key);
    }

    /// Takes back what was held for a subscription, now that acknowledgments came.
    pub(super) fn release(&mut self, key: &SubscriptionKey) -> VecDeque<Item> {
        self.by_number
            .values_mut()
            .find(|slot| slot.key == *key)
            .map(|slot| std::mem::take(&mut slot.held))
            .unwrap_or_default()
    }
}
