//! Valid histories, made by the domain's own decisions.

use super::at;
use std::collections::BTreeMap;
use uuid::Uuid;
use verbatim_application::codec::Event;
use verbatim_domain::{
    Decider, MemberId, MessageId, RoomId,
    member::{Member, MemberCommand, MemberRole},
    read_cursor::{ReadCursor, ReadCursorCommand},
    room::{MessageRef, Room, RoomCommand},
    text::{DisplayName, Email, MessageBody, RoomName},
};

/// What somebody wants to do; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub enum Act {
    Register,
    Rename { member: usize, name: u8 },
    Promote { member: usize },
    Create { member: usize },
    Direct { member: usize, other: usize },
    Join { room: usize, member: usize },
    Add { room: usize, by: usize, member: usize },
    Leave { room: usize, member: usize },
    Remove { room: usize, by: usize, member: usize },
    Send { room: usize, member: usize },
    Edit { room: usize, member: usize, seq: u64 },
    Delete { room: usize, member: usize, seq: u64 },
    Read { room: usize, member: usize, seq: u64 },
}

/// All aggregates, with what happened so far.
#[derive(Default)]
pub struct World {
    pub members: BTreeMap<MemberId, Member>,
    pub rooms: BTreeMap<RoomId, Room>,
    cursors: BTreeMap<(RoomId, MemberId), ReadCursor>,
    /// Sender of each message.
    senders: BTreeMap<(RoomId, u64), (MessageId, MemberId)>,
    member_ids: Vec<MemberId>,
    room_ids: Vec<RoomId>,
    issued: u128,
    time: i64,
    events: Vec<Event>,
}

impl World {
    /// A world with some members and rooms that everybody is in.
    pub fn populated(members: usize, rooms: usize) -> Self {
        let mut world = Self::default();
        for _ in 0..members {
            world.act(&Act::Register);
        }
        for room in 0..rooms {
            world.act(&Act::Create { member: room });
            for member in 0..members {
                world.act(&Act::Join { room, member });
            }
        }
        world
    }

    /// The events since the last call.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub fn member(&self, number: usize) -> MemberId {
        self.member_ids[number % self.member_ids.len()]
    }

    pub fn room(&self, number: usize) -> RoomId {
        self.room_ids[number % self.room_ids.len()]
    }

    fn issue(&mut self) -> Uuid {
        self.issued += 1;
        // The shape of a version 7, in no order of time, as ids of several nodes would be.
        let scrambled = self.issued.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
        Uuid::from_u128(scrambled & !(0xf << 76) | (0x7 << 76))
    }

    /// Does it, if the rules allow.
    pub fn act(&mut self, act: &Act) {
        self.time += 1;
        let at = at(self.time);
        if matches!(act, Act::Register) {
            let member_id = MemberId::from_uuid(self.issue());
            let number = self.member_ids.len();
            let command = MemberCommand::Register {
                member_id,
                email: Email::parse(&format!("m{number}@example.org")).unwrap(),
                display_name: DisplayName::parse(&format!("Member {number}")).unwrap(),
                password_hash: None,
                at,
            };
            self.member_ids.push(member_id);
            self.tell_member(member_id, &command);
            return;
        }
        if self.member_ids.is_empty() {
            return;
        }
        match act {
            Act::Register => {}
            Act::Rename { member, name } => {
                let display_name = DisplayName::parse(&format!("Name {name}")).unwrap();
                self.tell_member(
                    self.member(*member),
                    &MemberCommand::ChangeDisplayName { display_name, at },
                );
            }
            Act::Promote { member } => {
                let command = MemberCommand::ChangeRole { role: MemberRole::Admin, at };
                self.tell_member(self.member(*member), &command);
            }
            Act::Create { member } => {
                let room_id = RoomId::from_uuid(self.issue());
                let name = RoomName::parse(&format!("Room {}", self.room_ids.len())).unwrap();
                self.room_ids.push(room_id);
                let creator = self.member(*member);
                self.tell_room(room_id, &RoomCommand::CreateGroup { room_id, name, creator, at });
            }
            Act::Direct { member, other } => {
                let (opener, other) = (self.member(*member), self.member(*other));
                let room_id = RoomId::direct(opener, other);
                if opener != other && !self.room_ids.contains(&room_id) {
                    self.room_ids.push(room_id);
                }
                self.tell_room(room_id, &RoomCommand::OpenDirect { room_id, opener, other, at });
            }
            _ if self.room_ids.is_empty() => {}
            Act::Join { room, member } => {
                let member_id = self.member(*member);
                self.tell_room(self.room(*room), &RoomCommand::Join { member_id, at });
            }
            Act::Add { room, by, member } => {
                let (by, member_id) = (self.member(*by), self.member(*member));
                self.tell_room(self.room(*room), &RoomCommand::AddMember { by, member_id, at });
            }
            Act::Leave { room, member } => {
                let member_id = self.member(*member);
                self.tell_room(self.room(*room), &RoomCommand::Leave { member_id, at });
            }
            Act::Remove { room, by, member } => {
                let (by, member_id) = (self.member(*by), self.member(*member));
                self.tell_room(self.room(*room), &RoomCommand::RemoveMember { by, member_id, at });
            }
            Act::Send { room, member } => self.send(self.room(*room), self.member(*member)),
            Act::Edit { room, member, seq } => {
                let (room, by) = (self.room(*room), self.member(*member));
                if let Some(original) = self.message(room, *seq) {
                    let body = MessageBody::parse(&format!("edited at {}", self.time)).unwrap();
                    self.tell_room(room, &RoomCommand::EditMessage { original, by, body, at });
                }
            }
            Act::Delete { room, member, seq } => {
                let (room, by) = (self.room(*room), self.member(*member));
                if let Some(original) = self.message(room, *seq) {
                    self.tell_room(room, &RoomCommand::DeleteMessage { original, by, at });
                }
            }
            Act::Read { room, member, seq } => {
                let (room_id, member_id) = (self.room(*room), self.member(*member));
                let Some(room) = self.rooms.get(&room_id).filter(|room| room.has(member_id)) else { return };
                let last_seq = room.last_seq();
                let seq = seq % (last_seq + 1);
                let command = ReadCursorCommand::MarkRead { room_id, member_id, seq, last_seq, at };
                let cursor = self.cursors.entry((room_id, member_id)).or_default();
                for event in cursor.decide(&command).unwrap() {
                    cursor.evolve(&event);
                    self.events.push(Event::ReadCursor(event));
                }
            }
        }
    }

    pub fn send(&mut self, room: RoomId, sender_id: MemberId) {
        self.time += 1;
        let message_id = MessageId::from_uuid(self.issue());
        let body = MessageBody::parse(&format!("said at {} — naïve ✓", self.time)).unwrap();
        let sent_at = at(self.time);
        let seq = self.rooms.get(&room).map_or(0, Room::last_seq) + 1;
        if self.tell_room(room, &RoomCommand::SendMessage { message_id, sender_id, body, sent_at }) {
            self.senders.insert((room, seq), (message_id, sender_id));
        }
    }

    fn message(&self, room: RoomId, seq: u64) -> Option<MessageRef> {
        let last = self.rooms.get(&room)?.last_seq();
        let seq = seq.checked_rem(last)? + 1;
        let (message_id, sender_id) = *self.senders.get(&(room, seq))?;
        Some(MessageRef { seq, message_id, sender_id })
    }

    fn tell_member(&mut self, id: MemberId, command: &MemberCommand) {
        let member = self.members.entry(id).or_default();
        for event in member.decide(command).unwrap_or_default() {
            member.evolve(&event);
            self.events.push(Event::Member(event));
        }
    }

    fn tell_room(&mut self, id: RoomId, command: &RoomCommand) -> bool {
        let mut room = self.rooms.remove(&id).unwrap_or_default();
        let decided = room.decide(command);
        let accepted = decided.is_ok();
        for event in decided.unwrap_or_default() {
            room.evolve(&event);
            self.events.push(Event::Room(event));
        }
        if room.kind().is_some() {
            self.rooms.insert(id, room);
        } else {
            self.room_ids.retain(|known| *known != id);
        }
        accepted
    }
}
