//! One room's subscribers on this node.

use super::{
    body::{Body, Encoding},
    outbox::{Item, Outbox},
};
use std::{collections::HashSet, sync::Arc};
use verbatim_application::ports::Listening;
use verbatim_domain::MemberId;

/// One subscription of one session.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    /// Unique in this hub.
    pub(super) id: u64,
    pub(super) member: MemberId,
    /// Which of the session's subscriptions it is.
    pub(super) slot: u32,
    pub(super) outbox: Outbox,
}

/// Subscribers that get the same bytes.
#[derive(Debug)]
struct Group {
    encoding: Encoding,
    subscribers: Vec<Subscriber>,
}

/// The subscribers of one room.
#[derive(Debug, Default)]
pub(super) struct Topic {
    groups: Vec<Group>,
    /// Keeps its changes coming.
    pub(super) listening: Option<Arc<dyn Listening>>,
    /// The last message that was handed on here; a hole after it is filled from the read model.
    pub(super) last_seq: Option<u64>,
    /// The last message that was projected when the first subscriber came: where to fill from if nothing was
    /// handed on yet.
    pub(super) baseline: Option<u64>,
}

impl Topic {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn add(&mut self, encoding: &Encoding, subscriber: Subscriber) {
        match self.groups.iter_mut().find(|group| group.encoding == *encoding) {
            Some(group) => group.subscribers.push(subscriber),
            None => self.groups.push(Group { encoding: encoding.clone(), subscribers: vec![subscriber] }),
        }
    }

    /// Lets go of subscribers; says how many went.
    pub(super) fn remove(&mut self, gone: impl Fn(&Subscriber) -> bool) -> usize {
        let mut removed = 0;
        for group in &mut self.groups {
            let before = group.subscribers.len();
            group.subscribers.retain(|subscriber| !gone(subscriber));
            removed += before - group.subscribers.len();
        }
        self.groups.retain(|group| !group.subscribers.is_empty());
        removed
    }

    /// Who listens, each once.
    pub(super) fn members(&self) -> HashSet<MemberId> {
        self.groups.iter().flat_map(|group| &group.subscribers).map(|subscriber| subscriber.member).collect()
    }

    /// Closes the sessions of one member: they come back, and are told whether they may.
    pub(super) fn expel(&self, member: MemberId) {
        let all = self.groups.iter().flat_map(|group| &group.subscribers);
        for subscriber in all.filter(|subscriber| subscriber.member == member) {
            subscriber.outbox.cut_off();
        }
    }

    /// Closes every subscriber's session: something is missing from what they got, and they must resume.
    pub(super) fn cut_off(&self) {
        for subscriber in self.groups.iter().flat_map(|group| &group.subscribers) {
            subscriber.outbox.cut_off();
        }
    }

    /// Hands a body to every subscriber, encoding it once for each group. Sessions that take nothing more are let
    /// go. Says how many got it.
    pub(super) fn deliver(&mut self, body: &Body, ends_for: Option<MemberId>) -> usize {
        let mut delivered = 0;
        for group in &mut self.groups {
            let payload = body.encode(&group.encoding);
            let seq = if body.cursor { body.seq } else { 0 };
            group.subscribers.retain(|subscriber| {
                let last = ends_for == Some(subscriber.member);
                let item = Item { payload: payload.clone(), subscription: subscriber.slot, seq, last };
                let taken = subscriber.outbox.push(item).is_ok();
                delivered += usize::from(taken);
                taken && !last
            });
        }
        self.groups.retain(|group| !group.subscribers.is_empty());
        delivered
    }
}
