//! The hub of this node: who listens to what.

use super::{
    body::Encoding,
    online::{Counts, Online},
    outbox::Outbox,
    topic::{Subscriber, Topic},
};
use std::{
    collections::{HashMap, HashSet},
    // The std mutex: it is held for short, synchronous stretches only, and never across an await.
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use verbatim_application::{
    AppError,
    ports::{Broadcast, HistoryReader, Interest, Listening, Range, UnreadReader},
    push::Push,
};
use verbatim_domain::{MemberId, RoomId};

/// What the hub tells about itself, for metrics.
pub trait HubObserver: Send + Sync + 'static {
    /// So many items were queued for sessions.
    fn delivered(&self, count: usize);
    /// A hole in what arrived was filled from the read model with so many messages.
    fn filled(&self, count: usize);
    /// These changes were handed on, in log order, as so many items for sessions, which took so long.
    fn pushed(&self, _pushes: &[Push], _items: usize, _took: Duration) {}
    /// Rooms and members that somebody listens to here.
    fn listening(&self, rooms: usize, members: usize);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnobservedHub;

impl HubObserver for UnobservedHub {
    fn delivered(&self, _: usize) {}
    fn filled(&self, _: usize) {}
    fn listening(&self, _: usize, _: usize) {}
}

/// The online members who are in a room.
pub(super) struct Watched {
    pub(super) members: HashSet<MemberId>,
    pub(super) listening: Arc<dyn Listening>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) rooms: HashMap<RoomId, Topic>,
    pub(super) online: HashMap<MemberId, Online>,
    pub(super) watched: HashMap<RoomId, Watched>,
    pub(super) loading: HashSet<MemberId>,
    /// Everything up to this log position was handed on.
    pub(super) position: u64,
}

/// Takes projected changes and hands them to the sessions of this node.
pub struct Hub {
    state: Mutex<State>,
    next_id: AtomicU64,
    pub(super) broadcast: Arc<dyn Broadcast>,
    pub(super) history: Arc<dyn HistoryReader>,
    pub(super) unread: Arc<dyn UnreadReader>,
    pub(super) observer: Arc<dyn HubObserver>,
}

pub(super) enum Target {
    Room(RoomId),
    Member(MemberId),
}

/// A subscription; dropping it ends it.
pub struct Subscription {
    hub: Weak<Hub>,
    pub(super) id: u64,
    target: Target,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.unsubscribe(self.id, &self.target);
        }
    }
}

/// Waits until nothing of it is missed any more; gives the log position from which on that is so.
pub(super) async fn begun(listening: &dyn Listening) -> Result<u64, AppError> {
    match listening.after() {
        Some(after) => Ok(after),
        None => {
            let begun = listening.begun().await;
            begun.map_err(|error| AppError::unavailable("changes can't be followed now", error))
        }
    }
}

impl Hub {
    /// A hub without subscribers.
    #[must_use]
    pub fn new(
        broadcast: Arc<dyn Broadcast>,
        history: Arc<dyn HistoryReader>,
        unread: Arc<dyn UnreadReader>,
        observer: Arc<dyn HubObserver>,
    ) -> Arc<Self> {
        let (state, next_id) = (Mutex::default(), AtomicU64::new(1));
        Arc::new(Self { state, next_id, broadcast, history, unread, observer })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a bug that was reported; the maps are whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn subscription(self: &Arc<Self>, target: Target) -> Subscription {
        Subscription { hub: Arc::downgrade(self), id: self.next_id(), target }
    }

    /// Listens to a room: from now on, everything projected there is queued in `outbox`. The caller checks membership
    /// *after* this, so that a removal can't slip between the check and the subscription, and reads what is
    /// older from history.
    ///
    /// # Errors
    /// The changes can't be followed, or the read model not be read: without it, holes could not be filled.
    pub async fn subscribe_room(
        self: &Arc<Self>,
        room: RoomId,
        member: MemberId,
        encoding: Encoding,
        slot: u32,
        outbox: Outbox,
    ) -> Result<Subscription, AppError> {
        let subscription = self.subscription(Target::Room(room));
        let subscriber = Subscriber { id: subscription.id, member, slot, outbox };
        let (listening, known) = {
            let mut state = self.state();
            let topic = state.rooms.entry(room).or_default();
            let listen = || self.broadcast.listen(Interest::Room(room));
            let listening = topic.listening.get_or_insert_with(listen).clone();
            topic.add(&encoding, subscriber);
            let known = topic.last_seq.or(topic.baseline).is_some();
            self.observer.listening(state.rooms.len(), state.online.len());
            (listening, known)
        };
        begun(&*listening).await?;
        if !known {
            let newest = self.history.messages(room, Range::Newest, 1).await?;
            if let Some(topic) = self.state().rooms.get_mut(&room) {
                topic.baseline.get_or_insert(newest.last().map_or(0, |message| message.seq));
            }
        }
        Ok(subscription)
    }

    fn unsubscribe(&self, id: u64, target: &Target) {
        let mut state = self.state();
        match target {
            Target::Room(room) => {
                if let Some(topic) = state.rooms.get_mut(room) {
                    topic.remove(|subscriber| subscriber.id == id);
                    if topic.is_empty() {
                        state.rooms.remove(room);
                    }
                }
            }
            Target::Member(member) => {
                if let Some(online) = state.online.get_mut(member) {
                    online.listeners.remove(|subscriber| subscriber.id == id);
                    if online.listeners.is_empty() {
                        state.forget(*member);
                    }
                }
            }
        }
        self.observer.listening(state.rooms.len(), state.online.len());
    }
}

impl State {
    pub(super) fn forget(&mut self, member: MemberId) {
        self.loading.remove(&member);
        let Some(online) = self.online.remove(&member) else { return };
        let rooms: Vec<RoomId> = match online.counts {
            Counts::Known(rooms) => rooms.into_keys().collect(),
            Counts::Loading(loading) => loading.watching.into_iter().collect(),
        };
        for room in rooms {
            self.unwatch(room, member);
        }
    }

    /// Closes the sessions that listen to a member's counts: the counts are not known.
    pub(super) fn cut_off(&mut self, member: MemberId) {
        if let Some(online) = self.online.get(&member) {
            online.listeners.cut_off();
        }
        self.forget(member);
    }

    /// Follows a room for the counts of an online member.
    pub(super) fn watch(
        &mut self,
        room: RoomId,
        member: MemberId,
        broadcast: &dyn Broadcast,
    ) -> &Arc<dyn Listening> {
        let watched = self.watched.entry(room).or_insert_with(|| Watched {
            members: HashSet::new(),
            listening: broadcast.listen(Interest::Room(room)),
        });
        watched.members.insert(member);
        &watched.listening
    }

    pub(super) fn unwatch(&mut self, room: RoomId, member: MemberId) {
        if let Some(watched) = self.watched.get_mut(&room) {
            watched.members.remove(&member);
            if watched.members.is_empty() {
                self.watched.remove(&room);
            }
        }
    }
}
