//! The rules of a read cursor: forward only, and never beyond what was said.

mod common;

use common::{ANNA, ROOM, arbitrary, at, given};
use proptest::{collection::vec, prelude::*};
use verbatim_domain::{
    Decider,
    read_cursor::{ReadCursor, ReadCursorCommand, ReadCursorEvent},
};

fn mark_read(seq: u64, last_seq: u64) -> ReadCursorCommand {
    ReadCursorCommand::MarkRead { room_id: ROOM, member_id: ANNA, seq, last_seq, at: at(0) }
}

fn advanced(seq: u64) -> ReadCursorEvent {
    ReadCursorEvent::ReadCursorAdvanced { room_id: ROOM, member_id: ANNA, seq, at: at(0) }
}

#[test]
fn nothing_is_read_at_first() {
    assert_eq!(given::<ReadCursor>([]).state().seq(), 0);
}

#[test]
fn reading_moves_forward() {
    given::<ReadCursor>([]).when(mark_read(3, 9)).then([advanced(3)]);
    given::<ReadCursor>([advanced(3)]).when(mark_read(4, 9)).then([advanced(4)]);
    assert_eq!(given::<ReadCursor>([advanced(3), advanced(4)]).state().seq(), 4);
}

#[test]
fn reading_never_moves_back() {
    given::<ReadCursor>([advanced(3)]).when(mark_read(2, 9)).then_nothing();
    given::<ReadCursor>([advanced(3)]).when(mark_read(0, 9)).then_nothing();
}

#[test]
fn reading_the_same_again_changes_nothing() {
    given::<ReadCursor>([advanced(3)]).when(mark_read(3, 9)).then_nothing();
    given::<ReadCursor>([]).when(mark_read(0, 0)).then_nothing();
}

#[test]
fn reading_beyond_the_last_message_ends_there() {
    given::<ReadCursor>([]).when(mark_read(u64::MAX, 9)).then([advanced(9)]);
    given::<ReadCursor>([advanced(9)]).when(mark_read(10, 9)).then_nothing();
    given::<ReadCursor>([]).when(mark_read(1, 0)).then_nothing();
}

#[test]
fn a_stale_last_message_moves_nothing_back() {
    given::<ReadCursor>([advanced(9)]).when(mark_read(9, 5)).then_nothing();
}

#[test]
fn an_older_event_that_comes_late_moves_nothing_back() {
    assert_eq!(given::<ReadCursor>([advanced(9), advanced(5)]).state().seq(), 9);
}

proptest! {
    #![proptest_config(arbitrary::config())]

    /// Any marks, while the room grows: the cursor is the highest of them, each cut off at the room's end then.
    #[test]
    fn a_cursor_never_goes_back_and_never_passes_the_end(
        steps in vec((0_u64..4, prop_oneof![9 => 0_u64..60, 1 => any::<u64>()]), 1..60),
    ) {
        let (mut cursor, mut last_seq, mut highest) = (ReadCursor::default(), 0, 0);
        for (said, seq) in steps {
            last_seq += said;
            highest = highest.max(seq.min(last_seq));
            let before = cursor.seq();
            let Ok(events) = cursor.decide(&mark_read(seq, last_seq));
            prop_assert_eq!(!events.is_empty(), highest > before, "an event exactly when it moves");
            for event in &events {
                cursor.evolve(event);
            }
            prop_assert!(cursor.seq() >= before);
            prop_assert!(cursor.seq() <= last_seq);
            prop_assert_eq!(cursor.seq(), highest);
        }
        let json = serde_json::to_string(&cursor).unwrap();
        prop_assert_eq!(serde_json::from_str::<ReadCursor>(&json).unwrap(), cursor);
    }

    /// Whatever events come, in whatever order.
    #[test]
    fn no_event_moves_a_cursor_back(events in vec(arbitrary::read_cursor_event(), 0..20)) {
        let mut cursor = ReadCursor::default();
        for event in &events {
            let before = cursor.seq();
            cursor.evolve(event);
            prop_assert!(cursor.seq() >= before);
        }
    }
}
