//! How rooms come to be, and what can be asked of one that is not there.

use crate::{
    common::{ANNA, BEN, CARLA, at, given, room_name},
    examples::{
        add, closed_group, create_group, delete, direct_opened, edit, group_created, join, joined, leave,
        message, open_direct, remove, send,
    },
};
use verbatim_domain::{
    ErrorKind, Rejection, RoomId,
    room::{Room, RoomCommand, RoomError, RoomEvent, RoomKind, RoomRole},
};

#[test]
fn whoever_creates_a_group_owns_it() {
    given::<Room>([]).when(create_group(ANNA)).then([group_created()]);
    let room = given::<Room>([group_created()]).state();
    assert_eq!((room.kind(), room.name()), (Some(RoomKind::Group), Some(&room_name("Garden"))));
    assert_eq!((room.last_seq(), room.is_closed(), room.members().len()), (0, false, 1));
    assert_eq!(room.created_at(), Some(at(0)));
    assert_eq!(room.members()[&ANNA].role, RoomRole::Owner);
}

#[test]
fn a_room_is_created_once() {
    given::<Room>([group_created()]).when(create_group(ANNA)).then_refused(RoomError::AlreadyExists);
    given::<Room>([group_created()]).when(create_group(BEN)).then_refused(RoomError::AlreadyExists);
    given::<Room>([direct_opened()]).when(create_group(ANNA)).then_refused(RoomError::AlreadyExists);
    given::<Room>(closed_group()).when(create_group(ANNA)).then_refused(RoomError::AlreadyExists);
}

#[test]
fn a_direct_room_has_both_in_it_and_no_owner() {
    given::<Room>([]).when(open_direct(ANNA, BEN)).then([direct_opened()]);
    let room = given::<Room>([direct_opened()]).state();
    assert_eq!((room.kind(), room.name(), room.is_closed()), (Some(RoomKind::Direct), None, false));
    assert_eq!((room.members().len(), room.created_at()), (2, Some(at(0))));
    assert_eq!(room.members()[&ANNA].role, RoomRole::Member);
    assert_eq!(room.members()[&BEN].role, RoomRole::Member);
}

#[test]
fn a_direct_room_is_opened_once_by_either() {
    given::<Room>([direct_opened()]).when(open_direct(ANNA, BEN)).then_nothing();
    given::<Room>([direct_opened()]).when(open_direct(BEN, ANNA)).then_nothing();
}

#[test]
fn a_direct_room_takes_two() {
    given::<Room>([]).when(open_direct(ANNA, ANNA)).then_refused(RoomError::DirectRoomWithOneself);
    given::<Room>([direct_opened()])
        .when(open_direct(ANNA, ANNA))
        .then_refused(RoomError::DirectRoomWithOneself);
}

#[test]
fn another_room_is_not_ones_direct_room() {
    let ask_for = |opener, other| RoomCommand::OpenDirect {
        room_id: RoomId::direct(ANNA, BEN),
        opener,
        other,
        at: at(1),
    };
    given::<Room>([direct_opened()]).when(ask_for(ANNA, CARLA)).then_refused(RoomError::AlreadyExists);
    given::<Room>([direct_opened()]).when(ask_for(CARLA, BEN)).then_refused(RoomError::AlreadyExists);
    given::<Room>([group_created()]).when(ask_for(ANNA, BEN)).then_refused(RoomError::AlreadyExists);
    given::<Room>([group_created(), joined(BEN, None, 0)])
        .when(ask_for(ANNA, BEN))
        .then_refused(RoomError::AlreadyExists);
    given::<Room>(closed_group()).when(ask_for(ANNA, BEN)).then_refused(RoomError::AlreadyExists);
}

#[test]
fn a_room_that_is_not_there_refuses_everything_else() {
    let commands = [
        join(ANNA),
        add(ANNA, BEN),
        leave(ANNA),
        remove(ANNA, BEN),
        remove(ANNA, ANNA),
        send(ANNA, 1, "hi"),
        edit(ANNA, message(1, ANNA), "ho"),
        delete(ANNA, message(1, ANNA)),
    ];
    for command in commands {
        given::<Room>([]).when(command).then_refused(RoomError::NotFound);
    }
    let room = given::<Room>([]).state();
    assert_eq!((room.kind(), room.name(), room.last_seq(), room.is_closed()), (None, None, 0, false));
    assert_eq!(room.created_at(), None);
}

#[test]
fn only_members_are_admitted_to_read() {
    assert_eq!(given::<Room>([]).state().admit(ANNA), Err(RoomError::NotFound));
    for room in [given::<Room>([group_created()]), given::<Room>([direct_opened()])] {
        assert_eq!(room.state().admit(ANNA), Ok(()));
        assert_eq!(room.state().admit(CARLA), Err(RoomError::NotAMember));
    }
    assert_eq!(given::<Room>(closed_group()).state().admit(ANNA), Err(RoomError::NotAMember));
}

#[test]
fn events_apply_in_any_state() {
    // A role of somebody who is not there; a second opening.
    let stranger = RoomEvent::RoomRoleChanged {
        room_id: RoomId::direct(ANNA, BEN),
        member_id: CARLA,
        role: RoomRole::Owner,
        at_seq: 7,
        at: at(1),
    };
    assert_eq!(given::<Room>([stranger.clone()]).state(), Room::default());
    let room = given::<Room>([direct_opened(), stranger]).state();
    assert_eq!(room, given::<Room>([direct_opened()]).state());
}

#[test]
fn the_codes_of_refusals_stay() {
    use ErrorKind::{Conflict, Forbidden, NotFound, Rejected};
    for (error, code, kind) in [
        (RoomError::NotFound, "room_not_found", NotFound),
        (RoomError::AlreadyExists, "room_exists", Conflict),
        (RoomError::Closed, "room_closed", Rejected),
        (RoomError::NotAMember, "not_a_member", Forbidden),
        (RoomError::NotAnOwner, "not_an_owner", Forbidden),
        (RoomError::DirectRoomIsFixed, "direct_room_is_fixed", Rejected),
        (RoomError::DirectRoomWithOneself, "direct_room_with_oneself", Rejected),
        (RoomError::Full, "room_full", Rejected),
        (RoomError::MessageNotFound, "message_not_found", NotFound),
        (RoomError::NotTheSender, "not_the_sender", Forbidden),
        (RoomError::MessageDeleted, "message_deleted", Rejected),
    ] {
        assert_eq!((error.code(), error.kind()), (code, kind));
    }
}
