//! The rules of a room: which events follow from a command.

use super::{ROOM_MEMBERS_MAX, Room, RoomCommand, RoomError, RoomEvent, RoomKind, RoomRole};
use crate::{MemberId, RoomId, Timestamp};

pub(super) fn decide(room: &Room, command: &RoomCommand) -> Result<Vec<RoomEvent>, RoomError> {
    use RoomCommand as C;
    match command {
        C::CreateGroup { room_id, name, creator, at } => match room.opened {
            Some(_) => Err(RoomError::AlreadyExists),
            None => Ok(vec![RoomEvent::GroupRoomCreated {
                room_id: *room_id,
                name: name.clone(),
                creator: *creator,
                at: *at,
            }]),
        },
        C::OpenDirect { opener, other, .. } if opener == other => Err(RoomError::DirectRoomWithOneself),
        C::OpenDirect { room_id, opener, other, at } => match &room.opened {
            None => Ok(vec![RoomEvent::DirectRoomOpened {
                room_id: *room_id,
                members: [*opener, *other],
                at: *at,
            }]),
            // Done already only if it is the room of these two; anything else under this id is not what was asked.
            Some(opened) if opened.kind == RoomKind::Direct && room.has(*opener) && room.has(*other) => {
                Ok(vec![])
            }
            Some(_) => Err(RoomError::AlreadyExists),
        },
        C::Join { member_id, at } => Open::of(room)?.enter(*member_id, None, *at),
        C::AddMember { by, member_id, at } => {
            let open = Open::of(room)?;
            open.inside(*by)?;
            open.enter(*member_id, Some(*by), *at)
        }
        C::Leave { member_id, at } => Open::of(room)?.exit(*member_id, None, *at),
        C::RemoveMember { by, member_id, at } => {
            let open = Open::of(room)?;
            if by == member_id {
                return open.exit(*member_id, None, *at);
            }
            open.inside(*by)?;
            if room.members.get(by).map(|m| m.role) != Some(RoomRole::Owner) {
                return Err(if open.kind == RoomKind::Direct {
                    RoomError::DirectRoomIsFixed
                } else {
                    RoomError::NotAnOwner
                });
            }
            open.exit(*member_id, Some(*by), *at)
        }
        C::SendMessage { message_id, sender_id, body, sent_at } => {
            let open = Open::of(room)?;
            open.inside(*sender_id)?;
            Ok(vec![RoomEvent::MessageSent {
                room_id: open.room_id,
                message_id: *message_id,
                seq: room.last_seq + 1,
                sender_id: *sender_id,
                body: body.clone(),
                sent_at: *sent_at,
            }])
        }
        C::EditMessage { original, by, body, at } => {
            let open = Open::of(room)?;
            open.own_message(original.seq, original.sender_id, *by)?;
            if room.deleted.contains(original.seq) {
                return Err(RoomError::MessageDeleted);
            }
            Ok(vec![RoomEvent::MessageEdited {
                room_id: open.room_id,
                message_id: original.message_id,
                seq: original.seq,
                edited_by: *by,
                body: body.clone(),
                at_seq: room.last_seq,
                edited_at: *at,
            }])
        }
        C::DeleteMessage { original, by, at } => {
            let open = Open::of(room)?;
            open.own_message(original.seq, original.sender_id, *by)?;
            if room.deleted.contains(original.seq) {
                return Ok(vec![]);
            }
            Ok(vec![RoomEvent::MessageDeleted {
                room_id: open.room_id,
                message_id: original.message_id,
                seq: original.seq,
                deleted_by: *by,
                at_seq: room.last_seq,
                deleted_at: *at,
            }])
        }
    }
}

/// A room that exists, with what its rules ask about most.
struct Open<'a> {
    room: &'a Room,
    room_id: RoomId,
    kind: RoomKind,
}

impl<'a> Open<'a> {
    fn of(room: &'a Room) -> Result<Self, RoomError> {
        let opened = room.opened.as_ref().ok_or(RoomError::NotFound)?;
        Ok(Self { room, room_id: opened.room_id, kind: opened.kind })
    }

    fn inside(&self, member: MemberId) -> Result<(), RoomError> {
        if self.room.has(member) { Ok(()) } else { Err(RoomError::NotAMember) }
    }

    fn own_message(&self, seq: u64, sender: MemberId, by: MemberId) -> Result<(), RoomError> {
        self.inside(by)?;
        if seq == 0 || seq > self.room.last_seq {
            return Err(RoomError::MessageNotFound);
        }
        if sender == by { Ok(()) } else { Err(RoomError::NotTheSender) }
    }

    fn enter(
        &self,
        member_id: MemberId,
        added_by: Option<MemberId>,
        at: Timestamp,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        if self.room.has(member_id) {
            return Ok(vec![]);
        }
        if self.kind == RoomKind::Direct {
            return Err(RoomError::DirectRoomIsFixed);
        }
        if self.room.closed {
            return Err(RoomError::Closed);
        }
        if self.room.members.len() >= ROOM_MEMBERS_MAX {
            return Err(RoomError::Full);
        }
        let (room_id, at_seq) = (self.room_id, self.room.last_seq);
        Ok(vec![RoomEvent::MemberJoined { room_id, member_id, added_by, at_seq, at }])
    }

    /// Leaving, with what follows from it: the last owner hands over to the longest-standing member, and a room
    /// that nobody is left in closes.
    fn exit(
        &self,
        member_id: MemberId,
        removed_by: Option<MemberId>,
        at: Timestamp,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        if self.kind == RoomKind::Direct {
            return Err(RoomError::DirectRoomIsFixed);
        }
        let Some(leaver) = self.room.members.get(&member_id) else {
            return Ok(vec![]);
        };
        let (room_id, at_seq) = (self.room_id, self.room.last_seq);
        let mut events = vec![RoomEvent::MemberLeft { room_id, member_id, removed_by, at_seq, at }];
        if self.room.members.len() == 1 {
            events.push(RoomEvent::RoomClosed { room_id, at_seq, at });
        } else if leaver.role == RoomRole::Owner {
            // Only an owner's leaving looks through the members: a crowd that leaves costs O(1) each.
            events.extend(self.heir_of(member_id).map(|heir| RoomEvent::RoomRoleChanged {
                room_id,
                member_id: heir,
                role: RoomRole::Owner,
                at_seq,
                at,
            }));
        }
        Ok(events)
    }

    /// Who owns the room after `leaver`: the longest-standing of those who stay, unless an owner is among them.
    fn heir_of(&self, leaver: MemberId) -> Option<MemberId> {
        let mut longest_standing = None;
        for (id, membership) in self.room.members.iter().filter(|(id, _)| **id != leaver) {
            if membership.role == RoomRole::Owner {
                return None;
            }
            if longest_standing.is_none_or(|(order, _)| membership.order < order) {
                longest_standing = Some((membership.order, *id));
            }
        }
        longest_standing.map(|(_, id)| id)
    }
}
