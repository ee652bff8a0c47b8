//! The unread counts of members who are online, kept in memory: a message costs no query per member.

use super::{
    body::{Body, Encoding},
    topic::{Subscriber, Topic},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use verbatim_application::{
    ports::{Listening, UnreadSnapshot},
    push::{Change, Membership, Push},
    views::UnreadView,
};
use verbatim_domain::{MemberId, RoomId};

/// Batches of changes that wait while a member's counts are loaded. More make the load start again.
pub(super) const PENDING_MAX: usize = 4_096;

/// One member with at least one listener.
#[derive(Debug)]
pub(super) struct Online {
    member: MemberId,
    /// Which reading of the counts is awaited; the answer to an earlier one is out of date.
    pub(super) load: u64,
    /// The counts include everything up to this log position.
    seen: u64,
    pub(super) listeners: Topic,
    pub(super) listening: Arc<dyn Listening>,
    pub(super) counts: Counts,
}

/// What is known of a member's counts.
#[derive(Debug)]
pub(super) enum Counts {
    /// They are being read.
    Loading(Loading),
    /// Up to date.
    Known(HashMap<RoomId, UnreadView>),
}

/// Counts that are being read.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// Changes that have come meanwhile.
    pub(super) pending: Vec<Arc<Vec<Push>>>,
    /// The rooms that are followed for them already.
    pub(super) watching: HashSet<RoomId>,
    /// What every listener was told before; `None` if there is one who was told nothing.
    told: Option<HashMap<RoomId, UnreadView>>,
}

/// What a change did to a member's set of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Begin(RoomId),
    End(RoomId),
}

impl Online {
    pub(super) fn new(member: MemberId, load: u64, listening: Arc<dyn Listening>) -> Self {
        let counts = Counts::Loading(Loading::default());
        Self { member, load, seen: 0, listeners: Topic::default(), listening, counts }
    }

    /// Forgets the counts until they are read anew; `pending` are changes that may not be in them then.
    pub(super) fn reload(&mut self, load: u64, pending: Vec<Arc<Vec<Push>>>) {
        self.load = load;
        let before = std::mem::replace(&mut self.counts, Counts::Loading(Loading::default()));
        let (watching, told) = match before {
            Counts::Known(rooms) => (rooms.keys().copied().collect(), Some(rooms)),
            Counts::Loading(loading) => (loading.watching, loading.told),
        };
        self.counts = Counts::Loading(Loading { pending, watching, told });
    }

    /// Takes the counts that were read, and what has happened since, and tells the listeners what is news to them. Says
    /// how many items that were.
    pub(super) fn loaded(&mut self, snapshot: UnreadSnapshot) -> usize {
        let Counts::Loading(loading) = &mut self.counts else { return 0 };
        let Loading { pending, told, .. } = std::mem::take(loading);
        self.counts = Counts::Known(snapshot.rooms.into_iter().map(|view| (view.room_id, view)).collect());
        for push in pending.iter().flat_map(|batch| batch.iter()) {
            if push.position > snapshot.position {
                self.take(push);
            }
        }
        // The dispatcher may be in the middle of the last of these batches: what is left of it is in the counts now.
        let last = pending.last().and_then(|batch| batch.last()).map_or(0, |push| push.position);
        self.seen = snapshot.position.max(last);
        let Counts::Known(rooms) = &self.counts else { return 0 };
        let news =
            |view: &&UnreadView| told.as_ref().is_none_or(|told| told.get(&view.room_id) != Some(*view));
        let bodies: Vec<Body> = rooms.values().filter(news).filter_map(Body::unread).collect();
        bodies.iter().map(|body| self.listeners.deliver(body, None)).sum()
    }

    /// Whether the member is in this room, as far as is known.
    pub(super) fn knows(&self, room: RoomId) -> bool {
        matches!(&self.counts, Counts::Known(rooms) if rooms.contains_key(&room))
    }

    /// Tells one new listener all counts, once they are known.
    pub(super) fn greet(&mut self, encoding: &Encoding, subscriber: &Subscriber) {
        let rooms = match &mut self.counts {
            Counts::Known(rooms) => rooms,
            Counts::Loading(loading) => {
                loading.told = None;
                return;
            }
        };
        let mut one = Topic::default();
        one.add(encoding, subscriber.clone());
        for body in rooms.values().filter_map(Body::unread) {
            one.deliver(&body, None);
        }
    }

    /// Takes a change in and tells the listeners what it means for them.
    pub(super) fn apply(&mut self, push: &Push) -> (usize, Option<Watch>) {
        let mut told = 0;
        let mut watch = None;
        if push.position <= self.seen {
            return (told, watch);
        }
        match &push.change {
            Change::Joined(m) if m.member_id == self.member => {
                watch = Some(Watch::Begin(push.room_id));
                if let Counts::Loading(loading) = &mut self.counts {
                    loading.watching.insert(push.room_id);
                }
                told += self.tell_membership("room_joined", push, m);
            }
            Change::Left(m) if m.member_id == self.member => {
                watch = Some(Watch::End(push.room_id));
                if let Counts::Loading(loading) = &mut self.counts {
                    loading.watching.remove(&push.room_id);
                }
                told += self.tell_membership("room_left", push, m);
            }
            _ => {}
        }
        if let Some(view) = self.take(push)
            && let Some(body) = Body::unread(&view)
        {
            told += self.listeners.deliver(&body, None);
        }
        (told, watch)
    }

    fn tell_membership(&mut self, kind: &'static str, push: &Push, membership: &Membership) -> usize {
        Body::own_membership(kind, push, membership).map_or(0, |body| self.listeners.deliver(&body, None))
    }

    /// Works a change into the counts; gives the room's new count if it changed.
    fn take(&mut self, push: &Push) -> Option<UnreadView> {
        let Counts::Known(rooms) = &mut self.counts else { return None };
        let room_id = push.room_id;
        match &push.change {
            Change::Joined(m) if m.member_id == self.member => {
                let view = UnreadView { room_id, unread: 0, last_seq: m.last_seq, read_seq: m.last_seq };
                rooms.insert(room_id, view);
                return Some(view);
            }
            Change::Left(m) if m.member_id == self.member => {
                rooms.remove(&room_id);
                return None;
            }
            _ => {}
        }
        let view = rooms.get_mut(&room_id)?;
        let before = *view;
        match &push.change {
            Change::Sent(message) if message.seq > view.last_seq => {
                view.last_seq = message.seq;
                if message.sender_id == self.member {
                    view.read_seq = message.seq;
                    view.unread = 0;
                } else {
                    view.unread += 1;
                }
            }
            Change::Deleted(message) if message.seq > view.read_seq => {
                view.unread = view.unread.saturating_sub(1);
            }
            Change::Read { member_id, unread } if *member_id == self.member => *view = *unread,
            _ => {}
        }
        (*view != before).then_some(*view)
    }
}
