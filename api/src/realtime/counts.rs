//! The unread counts of members who come online: read once, then kept up to date from what arrives.

use super::{
    body::Encoding,
    hub::{Hub, Subscription, Target, begun},
    online::{Counts, Online},
    outbox::Outbox,
    topic::Subscriber,
};
use std::{sync::Arc, time::Duration};
use verbatim_application::{
    AppError,
    ports::{Interest, Listening, UnreadSnapshot},
};
use verbatim_domain::MemberId;

/// How often counts are read again because they, or the rooms they are of, were not followed from there on.
const ROUNDS: usize = 5;
/// How often counts are read again because what was read is older than what has been handed on: they may be kept in
/// another database than what is pushed comes from.
const LATE_MAX: usize = 40;
/// The pause before that.
const LATE_PAUSE: Duration = Duration::from_millis(25);

/// What became of counts that were read.
enum Settled {
    /// They are known now, and so many items were told.
    Known(usize),
    /// Nobody awaits them any more.
    Idle,
    /// Changes in these rooms may have been missed after the counts were read.
    TooEarly(Vec<Arc<dyn Listening>>),
}

impl Hub {
    /// Listens to a member's own unread counts: all present ones first, then every change.
    ///
    /// # Errors
    /// The counts can't be read, or changes not be followed.
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
            let online = state.online.entry(member).or_insert_with(|| {
                let listening = self.broadcast.listen(Interest::Member(member));
                Online::new(member, load.unwrap_or_default(), listening)
            });
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

    /// Reads the counts that are awaited. Without them their listeners can't be served, and come back.
    pub(super) async fn load_counts(&self, member: MemberId, load: u64) -> Result<(), AppError> {
        let loaded = self.try_to_load(member, load).await;
        if loaded.is_err() {
            let mut state = self.state();
            if state.online.get(&member).is_some_and(|online| online.load == load) {
                state.cut_off(member);
            }
        }
        loaded
    }

    async fn try_to_load(&self, member: MemberId, load: u64) -> Result<(), AppError> {
        let (listening, handed_on) = {
            let state = self.state();
            let Some(online) = state.online.get(&member) else { return Ok(()) };
            (online.listening.clone(), state.position)
        };
        // What the counts must contain: everything that they are not told of any more.
        let mut least = handed_on.max(begun(&*listening).await?);
        for _ in 0..ROUNDS {
            let snapshot = self.read_counts(member, least).await?;
            match self.settle(member, load, snapshot) {
                Settled::Idle => return Ok(()),
                Settled::Known(told) => {
                    self.observer.delivered(told);
                    return Ok(());
                }
                Settled::TooEarly(rooms) => {
                    for listening in rooms {
                        least = least.max(begun(&*listening).await?);
                    }
                }
            }
        }
        Err(AppError::unavailable("unread counts change too quickly to be read", "out of rounds"))
    }

    async fn read_counts(&self, member: MemberId, least: u64) -> Result<UnreadSnapshot, AppError> {
        for _ in 0..LATE_MAX {
            let snapshot = self.unread.unread(member).await?;
            if snapshot.position >= least {
                return Ok(snapshot);
            }
            tokio::time::sleep(LATE_PAUSE).await;
        }
        Err(AppError::unavailable("unread counts are not up to date", "the projection is late"))
    }

    fn settle(&self, member: MemberId, load: u64, snapshot: UnreadSnapshot) -> Settled {
        let mut state = self.state();
        let Some(Online { counts: Counts::Loading(loading), .. }) =
            state.online.get_mut(&member).filter(|online| online.load == load)
        else {
            return Settled::Idle;
        };
        loading.watching.extend(snapshot.rooms.iter().map(|view| view.room_id));
        let rooms: Vec<_> = loading.watching.iter().copied().collect();
        let mut late = Vec::new();
        for room in &rooms {
            let listening = state.watch(*room, member, &*self.broadcast);
            if listening.after().is_none_or(|after| after > snapshot.position) {
                late.push(listening.clone());
            }
        }
        if !late.is_empty() {
            return Settled::TooEarly(late);
        }
        state.loading.remove(&member);
        let Some(online) = state.online.get_mut(&member) else { return Settled::Idle };
        let told = online.loaded(snapshot);
        let gone: Vec<_> = rooms.into_iter().filter(|room| !online.knows(*room)).collect();
        for room in gone {
            state.unwatch(room, member);
        }
        Settled::Known(told)
    }
}
