//! The dispatcher: hands projected changes on to whoever listens.

use super::{
    body::Body,
    hub::{Hub, State},
    online::{Counts, Online, PENDING_MAX, Watch},
};
use std::{sync::Arc, time::Instant};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    error::causes,
    ports::{Broadcast, Delivery, PushStream},
    push::{Change, Push},
};
use verbatim_domain::MemberId;

impl Hub {
    /// Hands changes of `stream` on until it ends or `stop` is called.
    pub async fn dispatch_from(self: Arc<Self>, mut stream: PushStream, stop: CancellationToken) {
        while let Some(Some(delivery)) = stop.run_until_cancelled(stream.next()).await {
            match delivery {
                Delivery::Changes(batch) => self.hand_on(&batch).await,
                Delivery::Missed { upto } => {
                    tracing::warn!(upto, "changes did not arrive; they are made good from the read model");
                    self.passed(upto);
                    self.catch_up().await;
                }
            }
        }
    }

    fn passed(&self, position: u64) {
        let mut state = self.state();
        state.position = state.position.max(position);
    }

    async fn hand_on(self: &Arc<Self>, batch: &Arc<Vec<Push>>) {
        let (mut delivered, began) = (0, Instant::now());
        {
            let mut state = self.state();
            let loading: Vec<MemberId> = state.loading.iter().copied().collect();
            for member in loading {
                let Some(Online { counts: Counts::Loading(loading), .. }) = state.online.get_mut(&member)
                else {
                    continue;
                };
                if loading.pending.len() < PENDING_MAX {
                    loading.pending.push(batch.clone());
                } else {
                    tracing::error!(member_id = %member, "unread counts take too long to read; their listeners are cut off");
                    state.cut_off(member);
                }
            }
        }
        let seen = self.state().position;
        for push in batch.iter() {
            // Ephemeral changes have no position, and are never repeated.
            if push.position != 0 && push.position <= seen {
                continue;
            }
            if let Some((from, to)) = self.hole_before(push) {
                self.fill(push.room_id, from, Some(to)).await;
            }
            let (told, unsure) = self.state().hand_on(push, &*self.broadcast);
            delivered += told;
            for member in unsure {
                self.reload(member, batch);
            }
        }
        self.observer.delivered(delivered);
        self.observer.pushed(batch, delivered, began.elapsed());
    }

    /// Reads the counts of a member again: changes in a room that they have just come into may have been missed.
    fn reload(self: &Arc<Self>, member: MemberId, batch: &Arc<Vec<Push>>) {
        let load = self.next_id();
        {
            let mut state = self.state();
            let Some(online) = state.online.get_mut(&member) else { return };
            // What is left of this batch may not be in the counts yet.
            online.reload(load, vec![batch.clone()]);
            state.loading.insert(member);
        }
        let hub = self.clone();
        tokio::spawn(async move {
            if let Err(error) = hub.load_counts(member, load).await {
                tracing::error!(member_id = %member, error = causes(&error), "unread counts can't be read again; their listeners are cut off");
            }
        });
    }
}

impl State {
    /// How many items were queued, and whose counts must be read again.
    fn hand_on(&mut self, push: &Push, broadcast: &dyn Broadcast) -> (usize, Vec<MemberId>) {
        self.position = self.position.max(push.position);
        let in_room = self.tell_room(push);
        let (to_members, unsure) = self.tell_members(push, broadcast);
        (in_room + to_members, unsure)
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

    fn tell_members(&mut self, push: &Push, broadcast: &dyn Broadcast) -> (usize, Vec<MemberId>) {
        let mut told = 0;
        let mut changes = Vec::new();
        let joiner = match &push.change {
            Change::Joined(membership) => Some(membership.member_id),
            Change::Typing { .. } => return (0, Vec::new()),
            _ => None,
        };
        let watching = self.watched.get(&push.room_id).map(|watched| &watched.members);
        // A joiner who is in already has joined by what was read before this arrived.
        let joiner = joiner.filter(|joiner| watching.is_none_or(|members| !members.contains(joiner)));
        for member in watching.into_iter().flatten().copied().chain(joiner) {
            let Some(online) = self.online.get_mut(&member) else { continue };
            let (count, watch) = online.apply(push);
            told += count;
            changes.extend(watch.map(|watch| (member, watch)));
        }
        let mut unsure = Vec::new();
        for (member, watch) in changes {
            match watch {
                Watch::Begin(room) => {
                    let after = self.watch(room, member, broadcast).after();
                    let known =
                        matches!(self.online.get(&member), Some(Online { counts: Counts::Known(_), .. }));
                    if known && after.is_none_or(|after| after > push.position) {
                        unsure.push(member);
                    }
                }
                Watch::End(room) => self.unwatch(room, member),
            }
        }
        (told, unsure)
    }
}
