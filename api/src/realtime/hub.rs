//! The hub of this node: who listens to what, and the dispatcher that hands projected changes on.

use super::{
    body::{Body, Encoding},
    online::{Counts, Online, PENDING_MAX, Watch},
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
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    AppError,
    ports::{HistoryReader, PushStream, Range, UnreadReader},
    push::{Change, Push},
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

#[derive(Default)]
pub(super) struct State {
    pub(super) rooms: HashMap<RoomId, Topic>,
    pub(super) online: HashMap<MemberId, Online>,
    /// Which online members are in a room.
    watchers: HashMap<RoomId, HashSet<MemberId>>,
    pub(super) loading: HashSet<MemberId>,
    /// Everything up to this log position was handed on.
    position: u64,
}

/// Takes projected changes and hands them to the sessions of this node.
pub struct Hub {
    state: Mutex<State>,
    next_id: AtomicU64,
    pub(super) history: Arc<dyn HistoryReader>,
    pub(super) unread: Arc<dyn UnreadReader>,
    pub(super) observer: Arc<dyn HubObserver>,
}

enum Target {
    Room(RoomId),
    Member(MemberId),
}

/// A subscription; dropping it ends it.
pub struct Subscription {
    hub: Weak<Hub>,
    id: u64,
    target: Target,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.unsubscribe(self.id, &self.target);
        }
    }
}

impl Hub {
    /// A hub without subscribers.
    #[must_use]
    pub fn new(
        history: Arc<dyn HistoryReader>,
        unread: Arc<dyn UnreadReader>,
        observer: Arc<dyn HubObserver>,
    ) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), next_id: AtomicU64::new(1), history, unread, observer })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a bug that was reported; the maps are whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn subscription(self: &Arc<Self>, target: Target) -> Subscription {
        Subscription { hub: Arc::downgrade(self), id: self.next_id(), target }
    }

    /// Listens to a room: from now on, everything projected there is queued in `outbox`. The caller checks membership
    /// *after* this, so that a removal can't slip between the check and the subscription, and reads what is
    /// older from history.
    ///
    /// # Errors
    /// The read model can't be read: without it, holes could not be filled.
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
        let known = {
            let mut state = self.state();
            let topic = state.rooms.entry(room).or_default();
            topic.add(&encoding, subscriber);
            let known = topic.last_seq.or(topic.baseline).is_some();
            self.observer.listening(state.rooms.len(), state.online.len());
            known
        };
        if !known {
            let newest = self.history.messages(room, Range::Newest, 1).await?;
            if let Some(topic) = self.state().rooms.get_mut(&room) {
                topic.baseline.get_or_insert(newest.last().map_or(0, |message| message.seq));
            }
        }
        Ok(subscription)
    }

    /// Listens to a member's own unread counts: all present ones first, then every change.
    ///
    /// # Errors
    /// The counts can't be read.
    pub async fn subscribe_member(
        self: &Arc<Self>,
        member: MemberId,
        encoding: Encoding,
        slot: u32,
        outbox: Outbox,
    ) -> Result<Subscription, AppError> {
        let subscription = self.subscription(Target::Member(member));
        let subscriber = Subscriber { id: subscription.id, member, slot, outbox };
        let load = {
            let mut state = self.state();
            let load = (!state.online.contains_key(&member)).then(|| self.next_id());
            let online =
                state.online.entry(member).or_insert_with(|| Online::new(member, load.unwrap_or_default()));
            online.greet(&encoding, &subscriber);
            online.listeners.add(&encoding, subscriber);
            if load.is_some() {
                state.loading.insert(member);
            }
            self.observer.listening(state.rooms.len(), state.online.len());
            load
        };
        if let Some(load) = load {
            // A task of its own: others wait for these counts too, also if this caller goes away.
            let hub = self.clone();
            tokio::spawn(async move { hub.load_counts(member, load).await })
                .await
                .map_err(AppError::internal)??;
        }
        Ok(subscription)
    }

    pub(super) async fn load_counts(&self, member: MemberId, load: u64) -> Result<(), AppError> {
        let read = self.unread.unread(member).await;
        let mut state = self.state();
        let awaited = state.online.get(&member).is_some_and(|online| online.load == load);
        let snapshot = match read {
            Ok(snapshot) => snapshot,
            Err(error) => {
                // Others may be waiting for the same counts: they can't be served either, and come back.
                if awaited {
                    state.cut_off(member);
                }
                return Err(error.into());
            }
        };
        if !awaited {
            return Ok(());
        }
        state.loading.remove(&member);
        let Some(online) = state.online.get_mut(&member) else { return Ok(()) };
        let rooms = online.loaded(snapshot);
        let told = online.tell_all();
        for room in rooms {
            state.watchers.entry(room).or_default().insert(member);
        }
        drop(state);
        self.observer.delivered(told);
        Ok(())
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

    /// Hands changes of `stream` on until it ends or `stop` is called.
    pub async fn dispatch_from(self: Arc<Self>, mut stream: PushStream, stop: CancellationToken) {
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = stream.recv() => received,
            };
            match received {
                Ok(batch) => self.hand_on(&batch).await,
                Err(RecvError::Closed) => return,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the hub fell behind the broadcast; filling from the read model");
                    self.catch_up().await;
                }
            }
        }
    }

    async fn hand_on(&self, batch: &Arc<Vec<Push>>) {
        let (mut delivered, began) = (0, Instant::now());
        {
            let mut state = self.state();
            let loading: Vec<MemberId> = state.loading.iter().copied().collect();
            for member in loading {
                let Some(Online { counts: Counts::Loading(pending), .. }) = state.online.get_mut(&member)
                else {
                    continue;
                };
                if pending.len() < PENDING_MAX {
                    pending.push(batch.clone());
                } else {
                    tracing::error!(member_id = %member, "unread counts take too long to read; their listeners are cut off");
                    state.cut_off(member);
                }
            }
        }
        let seen = self.state().position;
        for push in batch.iter() {
            // Repeated after a crash of the runner. Ephemeral changes have no position, and are never repeated.
            if push.position != 0 && push.position <= seen {
                continue;
            }
            if let Some((from, to)) = self.hole_before(push) {
                self.fill(push.room_id, from, Some(to)).await;
            }
            delivered += self.state().hand_on(push);
        }
        self.observer.delivered(delivered);
        self.observer.pushed(batch, delivered, began.elapsed());
    }
}

impl State {
    fn forget(&mut self, member: MemberId) {
        self.loading.remove(&member);
        if let Some(Online { counts: Counts::Known(rooms), .. }) = self.online.remove(&member) {
            for room in rooms.keys() {
                self.unwatch(*room, member);
            }
        }
    }

    /// Closes the sessions that listen to a member's counts: the counts are not known.
    fn cut_off(&mut self, member: MemberId) {
        if let Some(online) = self.online.get(&member) {
            online.listeners.cut_off();
        }
        self.forget(member);
    }

    pub(super) fn unwatch(&mut self, room: RoomId, member: MemberId) {
        if let Some(watchers) = self.watchers.get_mut(&room) {
            watchers.remove(&member);
            if watchers.is_empty() {
                self.watchers.remove(&room);
            }
        }
    }

    fn hand_on(&mut self, push: &Push) -> usize {
        self.position = self.position.max(push.position);
        self.tell_room(push) + self.tell_members(push)
    }

    fn tell_room(&mut self, push: &Push) -> usize {
        let Some(topic) = self.rooms.get_mut(&push.room_id) else { return 0 };
        if let Change::Sent(message) = &push.change {
            if topic.last_seq.is_some_and(|last| message.seq <= last) {
                return 0;
            }
            topic.last_seq = Some(message.seq);
        }
        let Some(body) = Body::of(push) else { return 0 };
        let ends_for = match &push.change {
            Change::Left(membership) => Some(membership.member_id),
            _ => None,
        };
        let delivered = topic.deliver(&body, ends_for);
        if topic.is_empty() {
            self.rooms.remove(&push.room_id);
        }
        delivered
    }

    fn tell_members(&mut self, push: &Push) -> usize {
        let mut told = 0;
        let mut changes = Vec::new();
        let joiner = match &push.change {
            Change::Joined(membership) => Some(membership.member_id),
            Change::Typing { .. } => return 0,
            _ => None,
        };
        let watching = self.watchers.get(&push.room_id);
        for member in watching.into_iter().flatten().copied().chain(joiner) {
            // Both in the set and joining can't be: a join has no effect on one who is in.
            let Some(online) = self.online.get_mut(&member) else { continue };
            let (count, watch) = online.apply(push);
            told += count;
            changes.extend(watch.map(|watch| (member, watch)));
        }
        for (member, watch) in changes {
            match watch {
                Watch::Begin(room) => {
                    self.watchers.entry(room).or_default().insert(member);
                }
                Watch::End(room) => self.unwatch(room, member),
            }
        }
        told
    }
}
