//! Derived ids. They stand in the log, so what they are derived from may never change.

mod common;

use common::{ANNA, BEN, CARLA, ROOM, arbitrary};
use proptest::prelude::*;
use verbatim_domain::{CursorId, EmailId, MemberId, MessageId, RoomId};

/// Computed outside of this project (Python's `hashlib.sha1` and RFC 9562, section 5.5).
#[test]
fn derived_ids_are_the_same_forever() {
    assert_eq!(RoomId::direct(ANNA, BEN).to_string(), "a6811bb6-632e-5789-90d8-e414f53786ca");
    assert_eq!(CursorId::of(ROOM, ANNA).to_string(), "02e538f4-c865-534e-bc51-df5ba805ac84");
    assert_eq!(EmailId::of("anna@example.org").to_string(), "9f0e5bb6-c541-56ce-8e75-276f34a6f7b4");
}

#[test]
fn derived_ids_differ_by_all_they_are_derived_from() {
    assert_ne!(RoomId::direct(ANNA, BEN), RoomId::direct(ANNA, CARLA));
    assert_ne!(CursorId::of(ROOM, ANNA), CursorId::of(ROOM, BEN));
    assert_ne!(CursorId::of(ROOM, ANNA), CursorId::of(RoomId::direct(ANNA, BEN), ANNA));
    assert_ne!(EmailId::of("a@b.c"), EmailId::of("a@b.d"));
}

#[test]
fn what_is_no_uuid_is_no_id() {
    for bad in ["", "me", "0", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-00000000000g"]
    {
        assert!(bad.parse::<MemberId>().is_err(), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(arbitrary::config())]

    #[test]
    fn a_direct_room_has_one_id_whoever_asks(a in arbitrary::member_id(), b in arbitrary::member_id()) {
        prop_assert_eq!(RoomId::direct(a, b), RoomId::direct(b, a));
    }

    #[test]
    fn an_id_is_written_and_read_as_a_uuid(id in arbitrary::message_id()) {
        prop_assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        prop_assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        prop_assert_eq!(MessageId::from_uuid(id.as_uuid()), id);
    }

    #[test]
    fn no_string_breaks_the_parser(raw in arbitrary::nasty_text(50)) {
        let _ = raw.parse::<RoomId>();
    }
}
