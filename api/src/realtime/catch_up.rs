//! What the hub does when changes did not arrive: it fills holes from the read model, and tells whom it can't help.

use super::{body::Body, hub::Hub};
use std::collections::HashMap;
use verbatim_application::{
    error::causes,
    ports::Range,
    push::{Change, Push},
    queries::PAGE_MAX,
};
use verbatim_domain::{MemberId, RoomId};

impl Hub {
    /// Messages of the push's room between the last one handed on and this one.
    pub(super) fn hole_before(&self, push: &Push) -> Option<(u64, u64)> {
        let Change::Sent(message) = &push.change else { return None };
        let last = self.state().rooms.get(&push.room_id)?.last_seq?;
        (message.seq > last + 1).then(|| (last, message.seq - 1))
    }

    /// Hands on what the read model has after `from`, up to `to` or its end.
    pub(super) async fn fill(&self, room: RoomId, from: u64, to: Option<u64>) {
        let mut after = from;
        let mut count = 0;
        while to.is_none_or(|to| after < to) {
            let page = match self.history.messages(room, Range::After(after), PAGE_MAX).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(room_id = %room, error = causes(&error), "a hole in the pushes can't be filled; its subscribers are cut off");
                    // Hidden it must not be: they come back and resume from what they have.
                    if let Some(topic) = self.state().rooms.remove(&room) {
                        topic.cut_off();
                    }
                    return;
                }
            };
            let Some(newest) = page.last().map(|message| message.seq) else { break };
            let mut delivered = 0;
            {
                let mut state = self.state();
                let Some(topic) = state.rooms.get_mut(&room) else { return };
                for message in page.iter().filter(|message| to.is_none_or(|to| message.seq <= to)) {
                    topic.last_seq = Some(message.seq);
                    if let Some(body) = Body::message(message) {
                        delivered += topic.deliver(&body, None);
                    }
                    count += 1;
                }
            }
            self.observer.delivered(delivered);
            after = newest;
        }
        self.observer.filled(count);
    }

    /// Some changes never arrived: fills every room, reads every member's counts again.
    pub(super) async fn catch_up(&self) {
        let (rooms, members) = {
            let state = self.state();
            let rooms: Vec<(RoomId, u64)> = state
                .rooms
                .iter()
                .filter_map(|(room, topic)| Some((*room, topic.last_seq.or(topic.baseline)?)))
                .collect();
            (rooms, state.online.keys().copied().collect::<Vec<_>>())
        };
        for (room, from) in rooms {
            self.fill(room, from, None).await;
        }
        self.cut_off_strangers().await;
        for member in members {
            let load = self.next_id();
            {
                let mut state = self.state();
                let Some(online) = state.online.get_mut(&member) else { continue };
                online.reload(load, Vec::new());
                state.loading.insert(member);
            }
            if let Err(error) = self.load_counts(member, load).await {
                tracing::error!(member_id = %member, error = causes(&error), "unread counts can't be read again; their listeners are cut off");
            }
        }
    }

    /// A removal may be among what was missed: whoever is not in a room any more is told nothing more of it.
    async fn cut_off_strangers(&self) {
        let mut rooms_of: HashMap<MemberId, Vec<RoomId>> = HashMap::new();
        for (room, topic) in &self.state().rooms {
            for member in topic.members() {
                rooms_of.entry(member).or_default().push(*room);
            }
        }
        for (member, rooms) in rooms_of {
            let known = match self.unread.unread_in(member, &rooms).await {
                Ok(known) => known,
                Err(error) => {
                    tracing::error!(member_id = %member, error = causes(&error), "whether they are still in their rooms can't be read; they are cut off");
                    Vec::new()
                }
            };
            let mut state = self.state();
            for room in rooms {
                if known.iter().any(|view| view.room_id == room) {
                    continue;
                }
                if let Some(topic) = state.rooms.get_mut(&room) {
                    topic.expel(member);
                }
            }
        }
    }
}
