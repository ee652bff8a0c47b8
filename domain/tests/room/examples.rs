//! Commands and events of one room, in short.

use crate::common::{ANNA, BEN, ROOM, at, body, message_id, room_name};
use verbatim_domain::{
    MemberId, RoomId,
    room::{MessageRef, RoomCommand, RoomEvent, RoomRole},
};

pub(crate) fn create_group(creator: MemberId) -> RoomCommand {
    RoomCommand::CreateGroup { room_id: ROOM, name: room_name("Garden"), creator, at: at(0) }
}

pub(crate) fn open_direct(opener: MemberId, other: MemberId) -> RoomCommand {
    RoomCommand::OpenDirect { room_id: RoomId::direct(opener, other), opener, other, at: at(0) }
}

pub(crate) fn join(member_id: MemberId) -> RoomCommand {
    RoomCommand::Join { member_id, at: at(1) }
}

pub(crate) fn add(by: MemberId, member_id: MemberId) -> RoomCommand {
    RoomCommand::AddMember { by, member_id, at: at(1) }
}

pub(crate) fn leave(member_id: MemberId) -> RoomCommand {
    RoomCommand::Leave { member_id, at: at(1) }
}

pub(crate) fn remove(by: MemberId, member_id: MemberId) -> RoomCommand {
    RoomCommand::RemoveMember { by, member_id, at: at(1) }
}

pub(crate) fn send(sender_id: MemberId, id: u64, text: &str) -> RoomCommand {
    RoomCommand::SendMessage { message_id: message_id(id), sender_id, body: body(text), sent_at: at(2) }
}

/// The message that [`said`] makes.
pub(crate) fn message(seq: u64, sender_id: MemberId) -> MessageRef {
    MessageRef { seq, message_id: message_id(seq), sender_id }
}

pub(crate) fn edit(by: MemberId, original: MessageRef, text: &str) -> RoomCommand {
    RoomCommand::EditMessage { original, by, body: body(text), at: at(3) }
}

pub(crate) fn delete(by: MemberId, original: MessageRef) -> RoomCommand {
    RoomCommand::DeleteMessage { original, by, at: at(3) }
}

/// Anna's room.
pub(crate) fn group_created() -> RoomEvent {
    RoomEvent::GroupRoomCreated { room_id: ROOM, name: room_name("Garden"), creator: ANNA, at: at(0) }
}

/// The room of Anna and Ben.
pub(crate) fn direct_opened() -> RoomEvent {
    RoomEvent::DirectRoomOpened { room_id: RoomId::direct(ANNA, BEN), members: [ANNA, BEN], at: at(0) }
}

pub(crate) fn joined(member_id: MemberId, added_by: Option<MemberId>, at_seq: u64) -> RoomEvent {
    RoomEvent::MemberJoined { room_id: ROOM, member_id, added_by, at_seq, at: at(1) }
}

pub(crate) fn left(member_id: MemberId, removed_by: Option<MemberId>, at_seq: u64) -> RoomEvent {
    RoomEvent::MemberLeft { room_id: ROOM, member_id, removed_by, at_seq, at: at(1) }
}

pub(crate) fn owner_now(member_id: MemberId, at_seq: u64) -> RoomEvent {
    RoomEvent::RoomRoleChanged { room_id: ROOM, member_id, role: RoomRole::Owner, at_seq, at: at(1) }
}

pub(crate) fn closed(at_seq: u64) -> RoomEvent {
    RoomEvent::RoomClosed { room_id: ROOM, at_seq, at: at(1) }
}

pub(crate) fn said(seq: u64, sender_id: MemberId, text: &str) -> RoomEvent {
    RoomEvent::MessageSent {
        room_id: ROOM,
        message_id: message_id(seq),
        seq,
        sender_id,
        body: body(text),
        sent_at: at(2),
    }
}

pub(crate) fn edited(seq: u64, edited_by: MemberId, text: &str, at_seq: u64) -> RoomEvent {
    RoomEvent::MessageEdited {
        room_id: ROOM,
        message_id: message_id(seq),
        seq,
        edited_by,
        body: body(text),
        at_seq,
        edited_at: at(3),
    }
}

pub(crate) fn deleted(seq: u64, deleted_by: MemberId, at_seq: u64) -> RoomEvent {
    RoomEvent::MessageDeleted {
        room_id: ROOM,
        message_id: message_id(seq),
        seq,
        deleted_by,
        at_seq,
        deleted_at: at(3),
    }
}

/// Anna's group after she has left it as the last one.
pub(crate) fn closed_group() -> [RoomEvent; 3] {
    [group_created(), left(ANNA, None, 0), closed(0)]
}
