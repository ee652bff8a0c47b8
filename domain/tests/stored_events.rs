//! What stands in the log stays readable: `samples/` holds one stored payload of each event type and version, named
//! `EventName.vN.json`, written by the code of its day. They are never changed, only added to.
//!
//! A new event type fails to compile here until it is listed; a new type or version then fails for want of a sample. A
//! version that is no longer current has its upcaster where the log is read (crate `infrastructure`), whose tests decode
//! these same files.

mod common;

use common::arbitrary;
use cqrs_es::DomainEvent;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeSet, fmt::Debug, fs, path::PathBuf};
use verbatim_domain::{
    email::EmailEvent, member::MemberEvent, read_cursor::ReadCursorEvent, room::RoomEvent,
};

/// Lists the variants of event enums, all of them: the match has no arm for one that is missing.
macro_rules! event_types {
    ($($all:ident of $event:ident: $($variant:ident),+;)+) => {$(
        const $all: &[&str] = &[$(stringify!($variant)),+];

        impl Variant for $event {
            fn variant(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                }
            }
        }
    )+};
}

/// An event that knows the name of its variant, which is the key of its JSON.
trait Variant {
    fn variant(&self) -> &'static str;
}

event_types! {
    MEMBER of MemberEvent: MemberRegistered, DisplayNameChanged, PasswordChanged, MemberRoleChanged;
    EMAIL of EmailEvent: EmailClaimed;
    ROOM of RoomEvent: GroupRoomCreated, DirectRoomOpened, MemberJoined, MemberLeft, RoomRoleChanged, RoomClosed,
        MessageSent, MessageEdited, MessageDeleted;
    READ_CURSOR of ReadCursorEvent: ReadCursorAdvanced;
}

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn sample(file: &str) -> Value {
    let text = fs::read_to_string(samples().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Decodes the current sample of each event type, and writes it as it was.
fn check<E>(names: &[&str])
where
    E: DomainEvent + Variant + Serialize + DeserializeOwned + Debug,
{
    for name in names {
        let file = format!("{name}.v1.json");
        let stored = sample(&file);
        let event: E = serde_json::from_value(stored.clone()).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(event.variant(), *name, "{file} holds another event");
        assert_eq!(event.event_type(), *name, "the name in the log is the name of the variant");
        assert_eq!(event.event_version(), "1", "{name} has a new version: add its sample, keep the old one");
        let written = serde_json::to_value(&event).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(written, stored, "{file} is written otherwise today");
    }
}

#[test]
fn every_event_type_has_a_sample_that_reads_and_writes_as_it_was() {
    check::<MemberEvent>(MEMBER);
    check::<EmailEvent>(EMAIL);
    check::<RoomEvent>(ROOM);
    check::<ReadCursorEvent>(READ_CURSOR);
}

#[test]
fn every_sample_belongs_to_an_event_type() {
    let listed: BTreeSet<String> =
        [MEMBER, EMAIL, ROOM, READ_CURSOR].concat().iter().map(|name| format!("{name}.v1.json")).collect();
    let found: BTreeSet<String> = fs::read_dir(samples())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, listed);
    // One name is one event, whatever the aggregate: readers of the log may go by the name alone.
    assert_eq!(listed.len(), [MEMBER, EMAIL, ROOM, READ_CURSOR].concat().len());
}

/// Through text and through `Value`: the event log stores the one, cqrs-es goes by the other.
fn round_trip<E>(event: &E) -> Result<(), TestCaseError>
where
    E: DomainEvent + Variant + Serialize + DeserializeOwned + Debug,
{
    let text = serde_json::to_string(event)?;
    prop_assert_eq!(&serde_json::from_str::<E>(&text)?, event);
    let value = serde_json::to_value(event)?;
    prop_assert!(value.get(event.variant()).is_some(), "externally tagged by its name: {}", value);
    prop_assert_eq!(event.event_type(), event.variant());
    prop_assert_eq!(&serde_json::from_value::<E>(value)?, event);
    Ok(())
}

proptest! {
    #![proptest_config(arbitrary::config())]

    #[test]
    fn any_member_event_is_read_as_written(event in arbitrary::member_event()) {
        round_trip(&event)?;
    }

    #[test]
    fn any_email_event_is_read_as_written(event in arbitrary::email_event()) {
        round_trip(&event)?;
    }

    #[test]
    fn any_room_event_is_read_as_written(event in arbitrary::room_event()) {
        round_trip(&event)?;
    }

    #[test]
    fn any_read_cursor_event_is_read_as_written(event in arbitrary::read_cursor_event()) {
        round_trip(&event)?;
    }
}
