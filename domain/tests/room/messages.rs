//! Sending, editing and deleting.

use crate::{
    common::{ANNA, BEN, CARLA, ROOM, at, body, given, message_id},
    examples::{
        closed_group, delete, deleted, direct_opened, edit, edited, group_created, joined, left, message,
        owner_now, said, send,
    },
};
use verbatim_domain::{
    RoomId,
    room::{MessageRef, Room, RoomError, RoomEvent},
};

/// Anna and Ben in a group; each has said something.
fn talk() -> Vec<RoomEvent> {
    vec![group_created(), joined(BEN, None, 0), said(1, ANNA, "one"), said(2, BEN, "two")]
}

/// [`talk`], and then `more`.
fn talk_then(more: impl IntoIterator<Item = RoomEvent>) -> Vec<RoomEvent> {
    talk().into_iter().chain(more).collect()
}

#[test]
fn messages_are_numbered_from_one() {
    given::<Room>([group_created()]).when(send(ANNA, 1, "one")).then([said(1, ANNA, "one")]);
    given::<Room>(talk()).when(send(ANNA, 3, "three")).then([said(3, ANNA, "three")]);
    assert_eq!(given::<Room>(talk()).state().last_seq(), 2);
}

#[test]
fn only_messages_take_numbers() {
    let history = talk_then([
        joined(CARLA, None, 2),
        edited(1, ANNA, "won", 2),
        deleted(2, BEN, 2),
        left(ANNA, None, 2),
        owner_now(BEN, 2),
    ]);
    given::<Room>(history).when(send(CARLA, 3, "three")).then([said(3, CARLA, "three")]);
}

#[test]
fn both_talk_in_a_direct_room() {
    for sender_id in [ANNA, BEN] {
        given::<Room>([direct_opened()]).when(send(sender_id, 1, "hi")).then([RoomEvent::MessageSent {
            room_id: RoomId::direct(ANNA, BEN),
            message_id: message_id(1),
            seq: 1,
            sender_id,
            body: body("hi"),
            sent_at: at(2),
        }]);
    }
}

#[test]
fn strangers_send_nothing() {
    given::<Room>(talk()).when(send(CARLA, 3, "hi")).then_refused(RoomError::NotAMember);
    given::<Room>([direct_opened()]).when(send(CARLA, 1, "hi")).then_refused(RoomError::NotAMember);
    given::<Room>(talk_then([left(BEN, None, 2)]))
        .when(send(BEN, 3, "hi"))
        .then_refused(RoomError::NotAMember);
    given::<Room>(closed_group()).when(send(ANNA, 1, "hi")).then_refused(RoomError::NotAMember);
}

#[test]
fn ones_own_message_is_edited() {
    given::<Room>(talk()).when(edit(ANNA, message(1, ANNA), "won")).then([edited(1, ANNA, "won", 2)]);
    given::<Room>(talk_then([edited(1, ANNA, "won", 2), said(3, BEN, "three")]))
        .when(edit(ANNA, message(1, ANNA), "once"))
        .then([edited(1, ANNA, "once", 3)]);
}

#[test]
fn ones_own_message_is_deleted() {
    given::<Room>(talk()).when(delete(BEN, message(2, BEN))).then([deleted(2, BEN, 2)]);
    let room = given::<Room>(talk_then([deleted(2, BEN, 2)])).state();
    assert!(room.deleted().contains(2) && !room.deleted().contains(1));
    assert_eq!(room.last_seq(), 2, "its number is not given out again");
}

#[test]
fn another_ones_message_stays_as_it_is() {
    // Not even the owner may: it would be words put into another one's mouth.
    given::<Room>(talk()).when(edit(ANNA, message(2, BEN), "no")).then_refused(RoomError::NotTheSender);
    given::<Room>(talk()).when(delete(ANNA, message(2, BEN))).then_refused(RoomError::NotTheSender);
    given::<Room>(talk()).when(edit(BEN, message(1, ANNA), "no")).then_refused(RoomError::NotTheSender);
    given::<Room>(talk()).when(delete(BEN, message(1, ANNA))).then_refused(RoomError::NotTheSender);
}

#[test]
fn who_is_not_in_changes_no_message() {
    let without_ben = talk_then([left(BEN, Some(ANNA), 2)]);
    let own = message(2, BEN);
    given::<Room>(without_ben.clone()).when(edit(BEN, own, "no")).then_refused(RoomError::NotAMember);
    given::<Room>(without_ben).when(delete(BEN, own)).then_refused(RoomError::NotAMember);
    given::<Room>(talk()).when(edit(CARLA, own, "no")).then_refused(RoomError::NotAMember);
    given::<Room>(talk()).when(delete(CARLA, own)).then_refused(RoomError::NotAMember);
}

#[test]
fn a_message_that_is_not_there_is_not_found() {
    for seq in [0, 3, u64::MAX] {
        let nothing = MessageRef { seq, ..message(1, ANNA) };
        given::<Room>(talk()).when(edit(ANNA, nothing, "no")).then_refused(RoomError::MessageNotFound);
        given::<Room>(talk()).when(delete(ANNA, nothing)).then_refused(RoomError::MessageNotFound);
    }
}

#[test]
fn a_deleted_message_is_not_edited() {
    let history = talk_then([deleted(1, ANNA, 2)]);
    given::<Room>(history.clone())
        .when(edit(ANNA, message(1, ANNA), "back"))
        .then_refused(RoomError::MessageDeleted);
    given::<Room>(history).when(edit(BEN, message(2, BEN), "too")).then([edited(2, BEN, "too", 2)]);
}

#[test]
fn deleting_twice_changes_nothing() {
    let history = talk_then([deleted(1, ANNA, 2)]);
    given::<Room>(history.clone()).when(delete(ANNA, message(1, ANNA))).then_nothing();
    // Whose it was still matters, so that nobody learns by asking what is deleted.
    given::<Room>(history).when(delete(BEN, message(1, ANNA))).then_refused(RoomError::NotTheSender);
}

#[test]
fn an_event_knows_its_room_and_the_last_number_after_it() {
    let last_seqs: Vec<u64> = talk_then([edited(1, ANNA, "won", 2), deleted(1, ANNA, 2), left(BEN, None, 2)])
        .iter()
        .map(|event| {
            assert_eq!(event.room_id(), ROOM);
            event.last_seq()
        })
        .collect();
    assert_eq!(last_seqs, [0, 0, 1, 2, 2, 2, 2]);
}
