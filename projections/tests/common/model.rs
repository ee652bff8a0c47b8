//! What the read models must show, computed in the simplest way that could be right: one pass over the events, with no
//! batches and no SQL.

use std::collections::{BTreeMap, BTreeSet};
use verbatim_application::{
    codec::Event,
    views::{MessageView, UnreadView},
};
use verbatim_domain::{MemberId, RoomId, member::MemberEvent, read_cursor::ReadCursorEvent, room::RoomEvent};

#[derive(Debug, Default, Clone)]
pub struct Model {
    pub names: BTreeMap<MemberId, String>,
    pub messages: BTreeMap<RoomId, Vec<MessageView>>,
    pub inside: BTreeMap<RoomId, Vec<MemberId>>,
    pub read: BTreeMap<(RoomId, MemberId), u64>,
    pub deleted: BTreeMap<RoomId, BTreeSet<u64>>,
    pub closed: BTreeSet<RoomId>,
}

impl Model {
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut model = Self::default();
        for event in events {
            model.apply(event);
        }
        model
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Member(
                MemberEvent::MemberRegistered { member_id, display_name, .. }
                | MemberEvent::DisplayNameChanged { member_id, display_name, .. },
            ) => {
                self.names.insert(*member_id, display_name.as_str().to_owned());
            }
            Event::Room(event) => self.room(event),
            Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced { room_id, member_id, seq, .. }) => {
                self.mark_read(*room_id, *member_id, *seq);
            }
            Event::Member(_) | Event::Email(_) => {}
        }
    }

    fn mark_read(&mut self, room: RoomId, member: MemberId, seq: u64) {
        let read = self.read.entry((room, member)).or_default();
        *read = seq.max(*read);
    }

    fn room(&mut self, event: &RoomEvent) {
        use RoomEvent as E;
        let room = event.room_id();
        match event {
            E::GroupRoomCreated { creator, .. } => self.inside.entry(room).or_default().push(*creator),
            E::DirectRoomOpened { members, .. } => {
                let mut members = *members;
                members.sort();
                self.inside.entry(room).or_default().extend(members);
            }
            E::MemberJoined { member_id, at_seq, .. } => {
                self.inside.entry(room).or_default().push(*member_id);
                self.mark_read(room, *member_id, *at_seq);
            }
            E::MemberLeft { member_id, .. } => {
                self.inside.entry(room).or_default().retain(|member| member != member_id);
            }
            E::RoomClosed { .. } => {
                self.closed.insert(room);
            }
            E::RoomRoleChanged { .. } => {}
            E::MessageSent { room_id, message_id, seq, sender_id, body, sent_at } => {
                self.messages.entry(room).or_default().push(MessageView {
                    message_id: *message_id,
                    room_id: *room_id,
                    seq: *seq,
                    sender_id: *sender_id,
                    sender_name: String::new(),
                    body: body.as_str().to_owned(),
                    sent_at: *sent_at,
                    edited_at: None,
                    deleted: false,
                });
                self.mark_read(room, *sender_id, *seq);
            }
            E::MessageEdited { seq, body, edited_at, .. } => {
                let message = &mut self.messages.get_mut(&room).unwrap()[*seq as usize - 1];
                message.body = body.as_str().to_owned();
                message.edited_at = Some(*edited_at);
            }
            E::MessageDeleted { seq, .. } => {
                let message = &mut self.messages.get_mut(&room).unwrap()[*seq as usize - 1];
                message.body.clear();
                message.deleted = true;
                self.deleted.entry(room).or_default().insert(*seq);
            }
        }
    }

    /// A room's whole history with the names of now.
    pub fn history(&self, room: RoomId) -> Vec<MessageView> {
        let mut messages = self.messages.get(&room).cloned().unwrap_or_default();
        for message in &mut messages {
            message.sender_name = self.names.get(&message.sender_id).cloned().unwrap_or_default();
        }
        messages
    }

    /// What a member has not read, by room.
    pub fn unread(&self, member: MemberId) -> Vec<UnreadView> {
        let rooms = self.inside.iter().filter(|(_, inside)| inside.contains(&member));
        let view = |(room, _): (&RoomId, _)| {
            let last_seq = self.messages.get(room).map_or(0, |messages| messages.len() as u64);
            let read_seq = self.read.get(&(*room, member)).copied().unwrap_or(0);
            let deleted = self.deleted.get(room).map_or(0, |d| d.range(read_seq + 1..).count() as u64);
            UnreadView { room_id: *room, unread: last_seq - read_seq - deleted, last_seq, read_seq }
        };
        rooms.map(view).collect()
    }
}
