//! What stands in the log can be read for ever.

use std::{borrow::Cow, fs, path::PathBuf};
use uuid::Uuid;
use verbatim_application::{
    codec::{DecodeError, Event, Upcaster, Version, known_type},
    ports::RecordedEvent,
};
use verbatim_domain::{Timestamp, room::RoomEvent};

fn recorded(aggregate_type: &str, event_type: &str, version: &str, payload: &str) -> RecordedEvent {
    RecordedEvent {
        position: 7,
        recorded_at: Timestamp::UNIX_EPOCH,
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: Uuid::nil(),
        sequence: 1,
        event_type: event_type.to_owned(),
        event_version: version.to_owned(),
        payload: payload.to_owned(),
        metadata: "{}".to_owned(),
        idempotency_key: None,
    }
}

/// The aggregate that has an event of this name: the only one that can read it.
fn decode_any(event_type: &str, version: &str, payload: &str) -> Vec<(&'static str, Event)> {
    ["member", "email", "room", "read_cursor"]
        .into_iter()
        .filter_map(|name| {
            let aggregate = known_type(name).expect("it is known");
            let event = Event::decode(&recorded(aggregate, event_type, version, payload)).ok()?;
            Some((aggregate, event))
        })
        .collect()
}

#[test]
fn every_sample_can_be_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/samples");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut read = 0;
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let (event_type, version) = stem.rsplit_once(".v").expect("EventName.vN.json");
        let payload = fs::read_to_string(&path).expect("it can be read");
        let events = decode_any(event_type, version, &payload);
        assert_eq!(events.len(), 1, "{stem} is an event of one aggregate");
        read += 1;
    }
    assert!(read >= 15, "there are samples");
}

const LEFT: &str = r#"{"RoomClosed":{"room_id":"00000000-0000-0000-0000-000000000001","at_seq":3,"at":"2024-01-01T00:00:00Z"}}"#;

fn closed(table: &[Upcaster], event_type: &str, version: &str, payload: &str) -> Result<u64, DecodeError> {
    match Event::decode_by(table, &recorded("room", event_type, version, payload))? {
        Event::Room(RoomEvent::RoomClosed { at_seq, .. }) => Ok(at_seq),
        other => panic!("{other:?}"),
    }
}

const fn version(event_type: &'static str, event_version: &'static str) -> Version {
    Version { event_type, event_version }
}

/// Version -1 was called otherwise and said `seq`; version 0 says `sequence`; version 1 is today's.
fn table() -> [Upcaster; 2] {
    [
        Upcaster {
            from: version("RoomClosed", "0"),
            to: version("RoomClosed", "1"),
            rewrite: |json| Ok(json.replace("\"sequence\"", "\"at_seq\"")),
        },
        Upcaster {
            from: version("RoomShut", "-1"),
            to: version("RoomClosed", "0"),
            rewrite: |json| Ok(json.replace("RoomShut", "RoomClosed").replace("\"seq\"", "\"sequence\"")),
        },
    ]
}

#[test]
fn an_old_version_goes_through_all_between() {
    let oldest = LEFT.replace("RoomClosed", "RoomShut").replace("at_seq", "seq");
    let older = LEFT.replace("at_seq", "sequence");
    assert_eq!(closed(&table(), "RoomShut", "-1", &oldest).expect("two steps"), 3);
    assert_eq!(closed(&table(), "RoomClosed", "0", &older).expect("one step"), 3);
    assert_eq!(closed(&table(), "RoomClosed", "1", LEFT).expect("no step"), 3);
}

#[test]
fn what_is_in_todays_version_is_not_copied() {
    let up = verbatim_application::codec::upcast(&table(), "RoomClosed", "1", LEFT).expect("it is today's");
    assert!(matches!(up.payload, Cow::Borrowed(payload) if std::ptr::eq(payload, LEFT)));
}

#[test]
fn what_nobody_ever_wrote_is_refused_by_name() {
    let unknown = [
        ("RoomClosed", "2", LEFT),
        ("RoomClosed", "0", LEFT),
        ("RoomClosed", "", LEFT),
        ("RoomClosed", "01", LEFT),
        ("RoomOpened", "1", LEFT),
        ("MessageSent", "1", LEFT),
        ("RoomClosed", "1", "{}"),
        ("RoomClosed", "1", ""),
    ];
    for (event_type, version, payload) in unknown {
        // Without the table, as the program runs today.
        let refused = closed(&[], event_type, version, payload).expect_err("nobody wrote this").to_string();
        assert!(
            refused.contains('7') && refused.contains(event_type),
            "it names position and event: {refused}"
        );
    }
    let elsewhere = Event::decode(&recorded("thing", "RoomClosed", "1", LEFT));
    elsewhere.expect_err("no aggregate is called so");
    let other = Event::decode(&recorded("member", "RoomClosed", "1", LEFT));
    other.expect_err("no event of a member");
}

#[test]
fn an_upcaster_that_fails_or_goes_in_circles_is_an_error() {
    let failing = [Upcaster {
        from: version("RoomClosed", "0"),
        to: version("RoomClosed", "1"),
        rewrite: |json| serde_json::from_str::<u8>(json).map(|_| String::new()),
    }];
    closed(&failing, "RoomClosed", "0", LEFT).expect_err("it fails");
    let circle = |from, to| Upcaster {
        from: version("RoomClosed", from),
        to: version("RoomClosed", to),
        rewrite: |json| Ok(json.to_owned()),
    };
    closed(&[circle("0", "2"), circle("2", "0")], "RoomClosed", "0", LEFT).expect_err("no end");
}
