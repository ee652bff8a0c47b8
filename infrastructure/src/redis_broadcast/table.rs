//! What somebody on this node is interested in, and from which log position on they miss nothing.

use super::wire::told;
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet, hash_map::Entry as Place},
    // The std mutex: it is held for look-ups, never across an await.
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, SetOnce},
    time::timeout,
};
use verbatim_application::{
    ports::{BroadcastError, Interest, Listening},
    push::Push,
};

/// The longest a new interest waits for the log position from which on it holds.
const BEGIN_LIMIT: Duration = Duration::from_secs(5);

/// Whether Redis sends what an interest is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscribed {
    No,
    /// It was asked to.
    Asked,
    Yes,
}

#[derive(Debug)]
struct Entry {
    listeners: usize,
    subscribed: Subscribed,
    /// The position after which nothing is missed.
    after: Arc<SetOnce<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Interest, Entry>,
    /// What may have to be subscribed to or unsubscribed from.
    dirty: HashSet<Interest>,
    /// Everything up to here was handed on; `None` before it is known where to begin.
    position: Option<u64>,
    /// Whether everything that was asked for comes over Redis. If not, everything is replayed.
    up: bool,
}

/// The interests of this node.
#[derive(Debug, Default)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    /// There may be something to subscribe to or to unsubscribe from.
    pub(super) changed: Notify,
}

/// What to subscribe to and to unsubscribe from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) subscribe: Vec<Interest>,
    pub(super) unsubscribe: Vec<Interest>,
}

impl Turn {
    pub(super) fn is_empty(&self) -> bool {
        self.subscribe.is_empty() && self.unsubscribe.is_empty()
    }
}

impl Table {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held is a bug that was reported; the maps are whole all the same.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(self: &Arc<Self>, interest: Interest) -> Ear {
        let mut inner = self.inner();
        let Inner { entries, dirty, position, up } = &mut *inner;
        let entry = match entries.entry(interest) {
            Place::Occupied(place) => place.into_mut(),
            Place::Vacant(place) => {
                let after = Arc::new(SetOnce::new());
                if let Some(position) = position.filter(|_| !*up) {
                    let _ = after.set(position);
                }
                dirty.insert(interest);
                self.changed.notify_one();
                place.insert(Entry { listeners: 0, subscribed: Subscribed::No, after })
            }
        };
        entry.listeners += 1;
        Ear { table: Arc::clone(self), interest, after: entry.after.clone() }
    }

    fn leave(&self, interest: Interest) {
        let mut inner = self.inner();
        let Inner { entries, dirty, .. } = &mut *inner;
        let Place::Occupied(mut place) = entries.entry(interest) else { return };
        place.get_mut().listeners -= 1;
        if place.get().listeners == 0 {
            if place.get().subscribed == Subscribed::No {
                place.remove();
                dirty.remove(&interest);
            } else {
                dirty.insert(interest);
                self.changed.notify_one();
            }
        }
    }

    /// What to do next about the subscriptions, at most `limit` of them. Only once all of the last turn is confirmed may
    /// this be called again: a confirmation does not say which request it is for.
    pub(super) fn next_turn(&self, limit: usize) -> Turn {
        let mut inner = self.inner();
        let Inner { entries, dirty, .. } = &mut *inner;
        let mut turn = Turn::default();
        for interest in dirty.extract_if(|_| true).take(limit) {
            let Place::Occupied(mut place) = entries.entry(interest) else { continue };
            let entry = place.get_mut();
            match (entry.listeners, entry.subscribed) {
                (0, Subscribed::No) => {
                    place.remove();
                }
                (0, _) => {
                    place.remove();
                    turn.unsubscribe.push(interest);
                }
                (_, Subscribed::No) => {
                    entry.subscribed = Subscribed::Asked;
                    turn.subscribe.push(interest);
                }
                _ => {}
            }
        }
        turn
    }

    /// Redis sends everything of this interest after `covered`.
    pub(super) fn confirmed(&self, interest: Interest, covered: u64) {
        let mut inner = self.inner();
        let Inner { entries, position, up, .. } = &mut *inner;
        if let Some(entry) = entries.get_mut(&interest) {
            entry.subscribed = Subscribed::Yes;
            if *up {
                let _ = entry.after.set(position.unwrap_or_default().max(covered));
            }
        }
    }

    /// From now on new interests hold from the confirmation of their subscription on. `false` if there are subscriptions
    /// to be made before.
    pub(super) fn go_up(&self) -> bool {
        let mut inner = self.inner();
        inner.up = inner.dirty.is_empty() && inner.position.is_some();
        inner.up
    }

    /// Redis sends nothing any more: what there is must be replayed, also for those who still wait for it.
    pub(super) fn go_down(&self) {
        let mut inner = self.inner();
        let Inner { entries, dirty, position, up } = &mut *inner;
        *up = false;
        entries.retain(|_, entry| entry.listeners > 0);
        for entry in entries.values_mut() {
            entry.subscribed = Subscribed::No;
            if let Some(position) = position {
                let _ = entry.after.set(*position);
            }
        }
        *dirty = entries.keys().copied().collect();
    }

    pub(super) fn is_up(&self) -> bool {
        self.inner().up
    }

    pub(super) fn position(&self) -> Option<u64> {
        self.inner().position
    }

    /// Moves on without handing anything on.
    pub(super) fn skip_to(&self, position: u64) {
        self.inner().skip_to(position);
    }

    /// The same, if nobody is interested in anything.
    pub(super) fn skip_if_idle(&self, position: u64) -> bool {
        let mut inner = self.inner();
        let idle = inner.entries.is_empty();
        if idle {
            inner.skip_to(position);
        }
        idle
    }

    /// Moves on to `upto`, with those of all changes up to there that somebody is interested in. Gives the position
    /// before, and the changes.
    pub(super) fn advance(&self, upto: u64, mut pushes: Vec<Push>) -> (u64, Vec<Push>) {
        let mut inner = self.inner();
        let before = inner.position.unwrap_or_default();
        pushes.retain(|push| push.position > before && inner.wants(push));
        inner.skip_to(upto);
        (before, pushes)
    }
}

impl Inner {
    fn skip_to(&mut self, position: u64) {
        let begins = self.position.is_none();
        self.position = self.position.max(Some(position));
        if begins && !self.up {
            for entry in self.entries.values() {
                let _ = entry.after.set(position);
            }
        }
    }

    fn wants(&self, push: &Push) -> bool {
        let (room, member) = told(push);
        room.into_iter().chain(member).any(|interest| {
            let after = self.entries.get(&interest).and_then(|entry| entry.after.get());
            after.is_some_and(|after| push.position > *after)
        })
    }
}

/// An interest; dropping it ends it.
#[derive(Debug)]
pub(super) struct Ear {
    table: Arc<Table>,
    interest: Interest,
    after: Arc<SetOnce<u64>>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.table.leave(self.interest);
    }
}

/// Neither Redis nor the read models have said so far where the log is.
#[derive(Debug, thiserror::Error)]
#[error("no beginning after {BEGIN_LIMIT:?}")]
struct NotBegun;

#[async_trait]
impl Listening for Ear {
    fn after(&self) -> Option<u64> {
        self.after.get().copied()
    }

    async fn begun(&self) -> Result<u64, BroadcastError> {
        match timeout(BEGIN_LIMIT, self.after.wait()).await {
            Ok(after) => Ok(*after),
            Err(_) => Err(BroadcastError(Box::new(NotBegun))),
        }
    }
}
