//! Who comes, who goes, and who owns the room then.

use crate::{
    common::{ANNA, BEN, CARLA, DAVE, fold, given},
    examples::{
        add, closed, closed_group, direct_opened, group_created, join, joined, leave, left, owner_now,
        remove, said, send,
    },
};
use uuid::Uuid;
use verbatim_domain::{
    Decider, MemberId,
    room::{ROOM_MEMBERS_MAX, Room, RoomError, RoomRole},
};

#[test]
fn anybody_joins_a_group() {
    given::<Room>([group_created()]).when(join(BEN)).then([joined(BEN, None, 0)]);
    let room = given::<Room>([group_created(), joined(BEN, None, 0)]).state();
    assert_eq!(room.members()[&BEN].role, RoomRole::Member);
}

#[test]
fn who_joins_starts_at_the_end_of_the_room() {
    given::<Room>([group_created(), said(1, ANNA, "a"), said(2, ANNA, "b")])
        .when(join(BEN))
        .then([joined(BEN, None, 2)]);
}

#[test]
fn joining_when_in_changes_nothing() {
    given::<Room>([group_created()]).when(join(ANNA)).then_nothing();
    given::<Room>([group_created(), joined(BEN, None, 0)]).when(join(BEN)).then_nothing();
    given::<Room>([direct_opened()]).when(join(BEN)).then_nothing();
}

#[test]
fn members_add_others() {
    given::<Room>([group_created()]).when(add(ANNA, BEN)).then([joined(BEN, Some(ANNA), 0)]);
    given::<Room>([group_created(), joined(BEN, None, 0), said(1, BEN, "a")])
        .when(add(BEN, CARLA))
        .then([joined(CARLA, Some(BEN), 1)]);
}

#[test]
fn strangers_add_nobody() {
    given::<Room>([group_created()]).when(add(BEN, CARLA)).then_refused(RoomError::NotAMember);
    given::<Room>([group_created()]).when(add(BEN, BEN)).then_refused(RoomError::NotAMember);
    given::<Room>([group_created()]).when(add(BEN, ANNA)).then_refused(RoomError::NotAMember);
    given::<Room>([direct_opened()]).when(add(CARLA, DAVE)).then_refused(RoomError::NotAMember);
}

#[test]
fn adding_who_is_in_changes_nothing() {
    given::<Room>([group_created(), joined(BEN, None, 0)]).when(add(ANNA, BEN)).then_nothing();
    given::<Room>([group_created()]).when(add(ANNA, ANNA)).then_nothing();
    given::<Room>([direct_opened()]).when(add(ANNA, BEN)).then_nothing();
}

#[test]
fn a_direct_room_is_fixed() {
    let fixed = RoomError::DirectRoomIsFixed;
    for command in [join(CARLA), add(ANNA, CARLA), leave(ANNA), remove(ANNA, BEN), remove(BEN, BEN)] {
        given::<Room>([direct_opened()]).when(command).then_refused(fixed);
    }
}

#[test]
fn strangers_put_nobody_out_of_a_direct_room() {
    given::<Room>([direct_opened()]).when(remove(CARLA, ANNA)).then_refused(RoomError::NotAMember);
}

#[test]
fn a_room_holds_so_many_and_no_more() {
    let guest = |n: usize| MemberId::from_uuid(Uuid::from_u128(0xffff_0000 + n as u128));
    let mut room: Room = fold(&[group_created()]);
    for n in 1..ROOM_MEMBERS_MAX {
        room.evolve(&joined(guest(n), None, 0));
    }
    assert_eq!(room.members().len(), ROOM_MEMBERS_MAX);
    assert_eq!(room.decide(&join(BEN)), Err(RoomError::Full));
    assert_eq!(room.decide(&add(ANNA, BEN)), Err(RoomError::Full));
    assert_eq!(room.decide(&join(guest(1))), Ok(vec![]), "who is in already needs no place");
    room.evolve(&left(guest(1), None, 0));
    assert_eq!(room.decide(&join(BEN)), Ok(vec![joined(BEN, None, 0)]));
}

#[test]
fn members_leave() {
    given::<Room>([group_created(), joined(BEN, None, 0), said(1, ANNA, "a")])
        .when(leave(BEN))
        .then([left(BEN, None, 1)]);
    let room = given::<Room>([group_created(), joined(BEN, None, 0), left(BEN, None, 0)]).state();
    assert!(!room.has(BEN) && room.has(ANNA) && !room.is_closed());
}

#[test]
fn leaving_twice_changes_nothing() {
    given::<Room>([group_created(), joined(BEN, None, 0), left(BEN, None, 0)])
        .when(leave(BEN))
        .then_nothing();
    given::<Room>([group_created()]).when(leave(BEN)).then_nothing();
    given::<Room>([group_created()]).when(remove(BEN, BEN)).then_nothing();
    given::<Room>(closed_group()).when(leave(ANNA)).then_nothing();
}

#[test]
fn the_owner_hands_over_to_the_longest_standing_member() {
    let three = [group_created(), joined(CARLA, None, 0), joined(BEN, None, 0), said(1, BEN, "a")];
    given::<Room>(three).when(leave(ANNA)).then([left(ANNA, None, 1), owner_now(CARLA, 1)]);
    let room = given::<Room>([
        group_created(),
        joined(CARLA, None, 0),
        joined(BEN, None, 0),
        left(ANNA, None, 0),
        owner_now(CARLA, 0),
    ]);
    assert_eq!(room.state().members()[&CARLA].role, RoomRole::Owner);
    room.when(leave(CARLA)).then([left(CARLA, None, 0), owner_now(BEN, 0)]);
}

#[test]
fn who_comes_back_stands_behind_those_who_stayed() {
    given::<Room>([
        group_created(),
        joined(BEN, None, 0),
        joined(CARLA, None, 0),
        left(BEN, None, 0),
        joined(BEN, Some(ANNA), 0),
    ])
    .when(leave(ANNA))
    .then([left(ANNA, None, 0), owner_now(CARLA, 0)]);
}

#[test]
fn who_gave_the_room_away_comes_back_as_a_member() {
    let history = [
        group_created(),
        joined(BEN, None, 0),
        left(ANNA, None, 0),
        owner_now(BEN, 0),
        joined(ANNA, None, 0),
    ];
    let room = given::<Room>(history);
    assert_eq!(room.state().members()[&ANNA].role, RoomRole::Member);
    room.when(remove(ANNA, BEN)).then_refused(RoomError::NotAnOwner);
}

#[test]
fn nothing_is_handed_over_while_an_owner_stays() {
    let two_owners = [group_created(), joined(CARLA, None, 0), joined(BEN, None, 0), owner_now(BEN, 0)];
    given::<Room>(two_owners.clone()).when(leave(ANNA)).then([left(ANNA, None, 0)]);
    given::<Room>(two_owners.clone()).when(leave(BEN)).then([left(BEN, None, 0)]);
    given::<Room>(two_owners.clone()).when(leave(CARLA)).then([left(CARLA, None, 0)]);
    given::<Room>(two_owners).when(remove(BEN, ANNA)).then([left(ANNA, Some(BEN), 0)]);
}

#[test]
fn a_group_that_nobody_is_left_in_closes() {
    given::<Room>([group_created(), said(1, ANNA, "a")])
        .when(leave(ANNA))
        .then([left(ANNA, None, 1), closed(1)]);
    let room = given::<Room>(closed_group()).state();
    assert!(room.is_closed() && room.members().is_empty());
}

#[test]
fn a_closed_room_stays_closed() {
    given::<Room>(closed_group()).when(join(ANNA)).then_refused(RoomError::Closed);
    given::<Room>(closed_group()).when(join(BEN)).then_refused(RoomError::Closed);
    for command in [add(ANNA, BEN), remove(ANNA, BEN), send(ANNA, 1, "hi")] {
        given::<Room>(closed_group()).when(command).then_refused(RoomError::NotAMember);
    }
}

#[test]
fn an_owner_puts_others_out() {
    let history = [group_created(), joined(BEN, None, 0), said(1, ANNA, "a")];
    given::<Room>(history).when(remove(ANNA, BEN)).then([left(BEN, Some(ANNA), 1)]);
}

#[test]
fn only_an_owner_puts_others_out() {
    let history = [group_created(), joined(BEN, None, 0), joined(CARLA, None, 0)];
    for target in [ANNA, CARLA, DAVE] {
        given::<Room>(history.clone()).when(remove(BEN, target)).then_refused(RoomError::NotAnOwner);
    }
    for target in [ANNA, BEN] {
        given::<Room>(history.clone()).when(remove(DAVE, target)).then_refused(RoomError::NotAMember);
    }
}

#[test]
fn putting_out_who_is_not_in_changes_nothing() {
    given::<Room>([group_created()]).when(remove(ANNA, BEN)).then_nothing();
    given::<Room>([group_created(), joined(BEN, None, 0), left(BEN, Some(ANNA), 0)])
        .when(remove(ANNA, BEN))
        .then_nothing();
}

#[test]
fn putting_oneself_out_is_leaving() {
    let history = [group_created(), joined(BEN, None, 0)];
    given::<Room>(history.clone()).when(remove(BEN, BEN)).then([left(BEN, None, 0)]);
    given::<Room>(history).when(remove(ANNA, ANNA)).then([left(ANNA, None, 0), owner_now(BEN, 0)]);
    given::<Room>([group_created()]).when(remove(ANNA, ANNA)).then([left(ANNA, None, 0), closed(0)]);
}
