//! A session's subscriptions and the messages that wait for acknowledgment.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::violation::Violation;
use crate::stomp::encoder::push_decimal;

/// Subscriptions of one session at once, ended ones that the client has not removed included.
pub const MAX_SUBSCRIPTIONS: usize = 512;
/// Messages of one subscription that may wait for acknowledgment before delivery pauses.
pub const MAX_UNACKED_PER_SUBSCRIPTION: usize = 256;
/// The same over all subscriptions of a session: what bounds its memory.
pub const MAX_UNACKED_PER_SESSION: usize = 1024;

/// What identifies a subscription within its session. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubscriptionKey {
    /// The `id` header.
    Id(Arc<str>),
    /// The destination, for a subscription without id (1.0 only).
    Destination(Arc<str>),
}

impl SubscriptionKey {
    /// The `subscription` header of its `MESSAGE` frames: none if it was made without id (1.0, SUBSCRIBE).
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Destination(_) => None,
        }
    }

    /// The id or the destination.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(text) | Self::Destination(text) => text,
        }
    }
}

/// How the client acknowledges (1.2, SUBSCRIBE ack Header).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckMode {
    /// Not at all.
    Auto,
    /// Each acknowledgment covers all messages before it.
    Client,
    /// Message by message.
    ClientIndividual,
}

/// The value of a `MESSAGE`'s `ack` header (1.2), unique within the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckId {
    subscription: u64,
    tag: u64,
}

impl AckId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let canonical =
                part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            Some(part).filter(|_| canonical)?.parse::<u64>().ok()
        };
        let (subscription, tag) = text.split_once('-')?;
        Some(Self { subscription: number(subscription)?, tag: number(tag)? })
    }

    pub(in crate::stomp) fn append_to(self, out: &mut Vec<u8>) {
        push_decimal(self.subscription, out);
        out.push(b'-');
        push_decimal(self.tag, out);
    }
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.subscription, self.tag)
    }
}

/// Whether a message can go to a subscription now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Yes.
    Ready,
    /// Too many messages wait for acknowledgment: hold back until [`Action::Settled`](super::Action::Settled).
    Paused,
    /// There is no such subscription, or it has ended.
    Gone,
}

/// A subscription of a session.
#[derive(Debug)]
pub struct Subscription {
    /// What it listens to.
    pub destination: Arc<str>,
    /// How its client acknowledges.
    pub ack: AckMode,
    number: u64,
    next_tag: u64,
    /// In the order delivered, so sorted by tag.
    pending: VecDeque<Pending>,
    ended: bool,
}

#[derive(Debug)]
struct Pending {
    tag: u64,
    message_id: Box<str>,
}

impl Subscription {
    /// Messages that wait for acknowledgment.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.pending.len()
    }

    /// Whether the server has ended it; the client may still remove it and acknowledge what it got.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    fn ack_of(&self, message_id: &str) -> Option<AckId> {
        let pending = self.pending.iter().find(|p| &*p.message_id == message_id)?;
        Some(AckId { subscription: self.number, tag: pending.tag })
    }
}

/// All subscriptions of a session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_key: HashMap<SubscriptionKey, Subscription>,
    /// Only those that acknowledge, by their number in an [`AckId`].
    by_number: HashMap<u64, SubscriptionKey>,
    next_number: u64,
    unacked: usize,
}

impl Subscriptions {
    pub(super) fn get(&self, key: &SubscriptionKey) -> Option<&Subscription> {
        self.by_key.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SubscriptionKey, &Subscription)> {
        self.by_key.iter()
    }

    /// Enters a subscription. One that the server has ended gives way to a new one of the same key.
    pub(super) fn insert(
        &mut self,
        key: SubscriptionKey,
        destination: Arc<str>,
        ack: AckMode,
    ) -> Result<(), Violation> {
        match self.by_key.get(&key) {
            Some(old) if !old.ended => {
                return Err(Violation::DuplicateSubscription { id: key.as_str().to_owned() });
            }
            Some(_) => drop(self.remove(&key)),
            None if self.by_key.len() >= MAX_SUBSCRIPTIONS => {
                return Err(Violation::TooManySubscriptions { max: MAX_SUBSCRIPTIONS });
            }
            None => {}
        }
        let number = self.next_number;
        self.next_number += 1;
        if ack != AckMode::Auto {
            self.by_number.insert(number, key.clone());
        }
        let new =
            Subscription { destination, ack, number, next_tag: 0, pending: VecDeque::new(), ended: false };
        self.by_key.insert(key, new);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &SubscriptionKey) -> Option<Subscription> {
        let gone = self.by_key.remove(key)?;
        self.by_number.remove(&gone.number);
        self.unacked -= gone.pending.len();
        Some(gone)
    }

    pub(super) fn end(&mut self, key: &SubscriptionKey) -> bool {
        match self.by_key.get_mut(key) {
            Some(subscription) if !subscription.ended => {
                subscription.ended = true;
                true
            }
            _ => false,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self { next_number: self.next_number, ..Self::default() };
    }

    pub(super) fn can_deliver(&self, key: &SubscriptionKey) -> Delivery {
        match self.by_key.get(key) {
            None => Delivery::Gone,
            Some(s) if s.ended => Delivery::Gone,
            Some(s) if s.ack == AckMode::Auto => Delivery::Ready,
            Some(s)
                if s.pending.len() >= MAX_UNACKED_PER_SUBSCRIPTION
                    || self.unacked >= MAX_UNACKED_PER_SESSION =>
            {
                Delivery::Paused
            }
            Some(_) => Delivery::Ready,
        }
    }

    /// Enters a message as waiting for acknowledgment; `None` in ack mode `auto`.
    pub(super) fn deliver(
        &mut self,
        key: &SubscriptionKey,
        message_id: &str,
    ) -> Result<Option<AckId>, Delivery> {
        match self.can_deliver(key) {
            Delivery::Ready => {}
            refused => return Err(refused),
        }
        let Some(subscription) = self.by_key.get_mut(key) else { return Err(Delivery::Gone) };
        if subscription.ack == AckMode::Auto {
            return Ok(None);
        }
        let tag = subscription.next_tag;
        subscription.next_tag += 1;
        subscription.pending.push_back(Pending { tag, message_id: message_id.into() });
        self.unacked += 1;
        Ok(Some(AckId { subscription: subscription.number, tag }))
    }

    /// The waiting message with this `ack` value (1.2).
    pub(super) fn find_ack(&self, id: &str) -> Option<AckId> {
        let ack = AckId::parse(id)?;
        let subscription = self.by_key.get(self.by_number.get(&ack.subscription)?)?;
        subscription.pending.binary_search_by_key(&ack.tag, |p| p.tag).ok().map(|_| ack)
    }

    /// The waiting message of this id, in one subscription (1.1) or, without `subscription`, in any (1.0).
    pub(super) fn find_message(&self, subscription: Option<&str>, message_id: &str) -> Option<AckId> {
        match subscription {
            Some(id) => self.by_key.get(&SubscriptionKey::Id(id.into()))?.ack_of(message_id),
            None => {
                // By number, so that the answer does not depend on the hash map's order.
                let found =
                    self.by_number.values().filter_map(|key| self.by_key.get(key)?.ack_of(message_id));
                found.min_by_key(|ack| ack.subscription)
            }
        }
    }

    /// Takes the message, in ack mode `client` with all before it, off the waiting list. `None` if the message no
    /// longer waits, as when an acknowledgment of a later one was faster than a `COMMIT`.
    pub(super) fn settle(&mut self, ack: AckId) -> Option<(SubscriptionKey, usize)> {
        let key = self.by_number.get(&ack.subscription)?;
        let subscription = self.by_key.get_mut(key)?;
        let at = subscription.pending.binary_search_by_key(&ack.tag, |p| p.tag).ok()?;
        let count = match subscription.ack {
            AckMode::Client => subscription.pending.drain(..=at).count(),
            AckMode::Auto | AckMode::ClientIndividual => {
                usize::from(subscription.pending.remove(at).is_some())
            }
        };
        self.unacked -= count;
        Some((key.clone(), count))
    }
}
