//! Read models that are folded from the log each time they are read.

use super::ports::Log;
use async_trait::async_trait;
use std::{collections::HashMap, sync::Arc, time::Duration};
use verbatim_application::{
    codec::Event,
    ports::{
        HistoryReader, MemberReader, Page, Positions, Range, ReadError, RoomReader, UnreadReader,
        UnreadSnapshot,
    },
    views::{MemberView, MessageView, MyRoomView, RoomMemberView, RoomView, UnreadView},
};
use verbatim_domain::{
    MemberId, RoomId,
    member::MemberEvent,
    read_cursor::ReadCursorEvent,
    room::{RoomEvent, RoomKind, RoomRole},
};

pub(super) struct Readers(pub(super) Arc<Log>);

struct Room {
    view: RoomView,
    members: Vec<RoomMemberView>,
    messages: Vec<MessageView>,
    read: HashMap<MemberId, u64>,
}

#[derive(Default)]
struct World {
    position: u64,
    names: Vec<MemberView>,
    rooms: Vec<Room>,
}

impl World {
    fn name(&self, member: MemberId) -> String {
        let named = self.names.iter().find(|view| view.member_id == member);
        named.map(|view| view.display_name.clone()).unwrap_or_default()
    }

    fn room(&mut self, id: RoomId) -> &mut Room {
        self.rooms.iter_mut().find(|room| room.view.room_id == id).unwrap()
    }

    fn open(&mut self, view: RoomView, members: &[(MemberId, RoomRole)]) {
        let joined_at = view.created_at;
        let members = members
            .iter()
            .map(|(id, role)| RoomMemberView {
                member_id: *id,
                display_name: self.name(*id),
                role: *role,
                joined_at,
            })
            .collect();
        self.rooms.push(Room { view, members, messages: Vec::new(), read: HashMap::new() });
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Member(MemberEvent::MemberRegistered { member_id, display_name, .. }) => {
                self.names.push(MemberView { member_id, display_name: display_name.to_string() });
            }
            Event::Member(MemberEvent::DisplayNameChanged { member_id, display_name, .. }) => {
                self.names.retain(|view| view.member_id != member_id);
                self.names.push(MemberView { member_id, display_name: display_name.to_string() });
            }
            Event::Room(event) => self.take_room(event),
            Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced { room_id, member_id, seq, .. }) => {
                let read = self.room(room_id).read.entry(member_id).or_default();
                *read = seq.max(*read);
            }
            Event::Member(_) | Event::Email(_) => {}
        }
    }

    fn take_room(&mut self, event: RoomEvent) {
        match event {
            RoomEvent::GroupRoomCreated { room_id, name, creator, at } => {
                let name = Some(name.to_string());
                let (kind, member_count, last_seq) = (RoomKind::Group, 1, 0);
                let view = RoomView { room_id, kind, name, member_count, last_seq, created_at: at };
                self.open(view, &[(creator, RoomRole::Owner)]);
            }
            RoomEvent::DirectRoomOpened { room_id, members, at } => {
                let (kind, member_count, last_seq) = (RoomKind::Direct, 2, 0);
                let view = RoomView { room_id, kind, name: None, member_count, last_seq, created_at: at };
                self.open(view, &members.map(|member| (member, RoomRole::Member)));
            }
            RoomEvent::MemberJoined { room_id, member_id, at_seq, at, .. } => {
                let display_name = self.name(member_id);
                let room = self.room(room_id);
                room.read.insert(member_id, at_seq);
                let role = RoomRole::Member;
                room.members.push(RoomMemberView { member_id, display_name, role, joined_at: at });
            }
            RoomEvent::MemberLeft { room_id, member_id, .. } => {
                self.room(room_id).members.retain(|member| member.member_id != member_id);
            }
            RoomEvent::MessageSent { room_id, message_id, seq, sender_id, body, sent_at } => {
                let sender_name = self.name(sender_id);
                let room = self.room(room_id);
                room.view.last_seq = seq;
                room.read.insert(sender_id, seq);
                let (body, edited_at, deleted) = (body.to_string(), None, false);
                room.messages.push(MessageView {
                    message_id,
                    room_id,
                    seq,
                    sender_id,
                    sender_name,
                    body,
                    sent_at,
                    edited_at,
                    deleted,
                });
            }
            RoomEvent::MessageEdited { room_id, seq, body, edited_at, .. } => {
                for message in self.room(room_id).messages.iter_mut().filter(|message| message.seq == seq) {
                    message.body = body.to_string();
                    message.edited_at = Some(edited_at);
                }
            }
            RoomEvent::MessageDeleted { room_id, seq, .. } => {
                for message in self.room(room_id).messages.iter_mut().filter(|message| message.seq == seq) {
                    message.body.clear();
                    message.deleted = true;
                }
            }
            RoomEvent::RoomRoleChanged { .. } | RoomEvent::RoomClosed { .. } => {}
        }
    }
}

impl Room {
    fn unread(&self, member: MemberId) -> UnreadView {
        let read_seq = self.read.get(&member).copied().unwrap_or(0);
        let unread =
            self.messages.iter().filter(|message| message.seq > read_seq && !message.deleted).count();
        UnreadView {
            room_id: self.view.room_id,
            unread: unread as u64,
            last_seq: self.view.last_seq,
            read_seq,
        }
    }
}

/// Pages by offset.
fn page<T>(all: Vec<T>, cursor: Option<&str>, limit: usize) -> Result<Page<T>, ReadError> {
    let start = cursor.map_or(Ok(0), |cursor| cursor.parse::<usize>().map_err(|_| ReadError::BadCursor))?;
    let next = (start + limit < all.len()).then(|| (start + limit).to_string());
    Ok(Page { items: all.into_iter().skip(start).take(limit).collect(), next })
}

impl Readers {
    fn world(&self) -> World {
        let mut world = World::default();
        for recorded in self.0.events.lock().unwrap().iter() {
            world.take(Event::decode(recorded).unwrap());
            world.position = recorded.position;
        }
        for room in &mut world.rooms {
            room.view.member_count = room.members.len() as u64;
        }
        world
    }
}

#[async_trait]
impl HistoryReader for Readers {
    async fn messages(
        &self,
        room: RoomId,
        range: Range,
        limit: usize,
    ) -> Result<Vec<MessageView>, ReadError> {
        let messages = std::mem::take(&mut self.world().room(room).messages);
        let newest = |messages: Vec<MessageView>| {
            let skip = messages.len().saturating_sub(limit);
            messages.into_iter().skip(skip).collect()
        };
        Ok(match range {
            Range::Newest => newest(messages),
            Range::Before(seq) => newest(messages.into_iter().filter(|message| message.seq < seq).collect()),
            Range::After(seq) => {
                messages.into_iter().filter(|message| message.seq > seq).take(limit).collect()
            }
        })
    }

    async fn message(&self, room: RoomId, seq: u64) -> Result<Option<MessageView>, ReadError> {
        Ok(self.world().room(room).messages.iter().find(|message| message.seq == seq).cloned())
    }
}

#[async_trait]
impl RoomReader for Readers {
    async fn room(&self, room: RoomId) -> Result<Option<RoomView>, ReadError> {
        Ok(self.world().rooms.into_iter().map(|room| room.view).find(|view| view.room_id == room))
    }

    async fn discover(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RoomView>, ReadError> {
        let rooms = self.world().rooms.into_iter().rev().map(|room| room.view);
        page(rooms.filter(|room| room.kind == RoomKind::Group).collect(), cursor, limit)
    }

    async fn members(
        &self,
        room: RoomId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<RoomMemberView>, ReadError> {
        page(std::mem::take(&mut self.world().room(room).members), cursor, limit)
    }

    async fn rooms_of(
        &self,
        member: MemberId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MyRoomView>, ReadError> {
        let mut rooms = self.world().rooms;
        rooms.retain(|room| room.members.iter().any(|one| one.member_id == member));
        let view = |room: Room| {
            let last_message = room.messages.last().cloned();
            MyRoomView { room: room.view, unread: 0, read_seq: 0, last_message }
        };
        page(rooms.into_iter().rev().map(view).collect(), cursor, limit)
    }
}

#[async_trait]
impl MemberReader for Readers {
    async fn search(
        &self,
        query: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MemberView>, ReadError> {
        let query = query.to_lowercase();
        let mut found = self.world().names;
        found.retain(|view| view.display_name.to_lowercase().contains(&query));
        found.sort_by(|a, b| a.display_name.cmp(&b.display_name));
        page(found, cursor, limit)
    }

    async fn member(&self, member: MemberId) -> Result<Option<MemberView>, ReadError> {
        Ok(self.world().names.into_iter().find(|view| view.member_id == member))
    }
}

#[async_trait]
impl UnreadReader for Readers {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        let snapshot = self.unread(member).await?;
        Ok(snapshot.rooms.into_iter().filter(|view| rooms.contains(&view.room_id)).collect())
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        let world = self.world();
        let within = |room: &&Room| room.members.iter().any(|one| one.member_id == member);
        let rooms = world.rooms.iter().filter(within).map(|room| room.unread(member)).collect();
        Ok(UnreadSnapshot { position: world.position, rooms })
    }
}

#[async_trait]
impl Positions for Readers {
    /// Everything is seen at once here, and what is not there yet will not come.
    async fn wait_for(&self, position: u64, _: Duration) -> bool {
        position <= self.0.events.lock().unwrap().len() as u64
    }
}
