//! Arbitrary texts and events for the property tests.

use chrono::DateTime;
use proptest::{collection::vec, option, prelude::*, test_runner::Config};
use uuid::Uuid;
use verbatim_domain::{
    MemberId, MessageId, RoomId, Timestamp,
    email::EmailEvent,
    member::{MemberEvent, MemberRole},
    read_cursor::ReadCursorEvent,
    room::{RoomEvent, RoomRole},
    text::{DisplayName, Email, MessageBody, PasswordHash, RoomName},
};

/// The usual number of cases, and no files of past failures: a failure worth keeping becomes a test of its own.
pub(crate) fn config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}

pub(crate) fn member_id() -> impl Strategy<Value = MemberId> {
    any::<u128>().prop_map(|n| MemberId::from_uuid(Uuid::from_u128(n)))
}

pub(crate) fn room_id() -> impl Strategy<Value = RoomId> {
    any::<u128>().prop_map(|n| RoomId::from_uuid(Uuid::from_u128(n)))
}

pub(crate) fn message_id() -> impl Strategy<Value = MessageId> {
    any::<u128>().prop_map(|n| MessageId::from_uuid(Uuid::from_u128(n)))
}

/// Any microsecond of the years 1 to 9999, which is what RFC 3339 can write.
pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000_000_i64..=253_402_300_799_999_999)
        .prop_map(|micros| DateTime::from_timestamp_micros(micros).expect("a time that exists"))
}

/// Strings with what goes wrong most often in them: any scalar value, white space, marks that compose or grow, invisible
/// and turning characters, letters whose case is not one to one.
pub(crate) fn nasty_text(max_chars: usize) -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        ' ',
        '\t',
        '\n',
        '\r',
        '\0',
        '\u{7f}',
        '\u{85}',
        '\u{a0}',
        '\u{ad}',
        '\u{301}',
        '\u{307}',
        '\u{323}',
        '\u{200b}',
        '\u{200d}',
        '\u{202e}',
        '\u{2028}',
        '\u{2029}',
        '\u{2066}',
        '\u{3000}',
        '\u{feff}',
        '\u{fe0f}',
        '\u{1100}',
        '\u{1161}',
        '\u{1d160}',
        '\u{10ffff}',
        '😀',
        'ß',
        'ẞ',
        'ς',
        'σ',
        'Σ',
        'İ',
        'ı',
        'ǅ',
        'ΐ',
        'K',
        'é',
        '@',
        '.',
        '-',
        '"',
        '\\',
    ]);
    let character = prop_oneof![2 => nasty, 2 => any::<char>(), 1 => proptest::char::range('!', '~')];
    vec(character, 0..=max_chars).prop_map(String::from_iter)
}

/// Texts that may be accepted: words, and now and then something nasty inside.
fn likely_text(max_chars: usize) -> impl Strategy<Value = String> {
    prop_oneof![3 => "[\\p{L}\\p{N}]{1,12}( [\\p{L}\\p{N}\\p{P}]{1,12}){0,3}", 1 => nasty_text(max_chars)]
}

pub(crate) fn display_name() -> impl Strategy<Value = DisplayName> {
    likely_text(64).prop_filter_map("not a display name", |raw| DisplayName::parse(&raw).ok())
}

pub(crate) fn room_name() -> impl Strategy<Value = RoomName> {
    likely_text(100).prop_filter_map("not a room name", |raw| RoomName::parse(&raw).ok())
}

pub(crate) fn body() -> impl Strategy<Value = MessageBody> {
    likely_text(300).prop_filter_map("not a message body", |raw| MessageBody::parse(&raw).ok())
}

/// Addresses in letters of every script, in any case.
pub(crate) fn email() -> impl Strategy<Value = Email> {
    ("[\\p{L}\\p{N}.+_-]{1,12}", "[\\p{L}\\p{N}]{1,10}(\\.[\\p{L}\\p{N}]{1,10}){0,2}")
        .prop_filter_map("not an address", |(local, domain)| Email::parse(&format!("{local}@{domain}")).ok())
}

fn password_hash() -> impl Strategy<Value = PasswordHash> {
    "\\$argon2id\\$v=19\\$m=19456,t=2,p=1\\$[A-Za-z0-9+/]{22}\\$[A-Za-z0-9+/]{43}".prop_map(PasswordHash::new)
}

pub(crate) fn member_event() -> impl Strategy<Value = MemberEvent> {
    let role = prop_oneof![Just(MemberRole::Member), Just(MemberRole::Admin)];
    prop_oneof![
        (member_id(), email(), display_name(), option::of(password_hash()), timestamp()).prop_map(
            |(member_id, email, display_name, password_hash, at)| MemberEvent::MemberRegistered {
                member_id,
                email,
                display_name,
                password_hash,
                at
            }
        ),
        (member_id(), display_name(), timestamp()).prop_map(|(member_id, display_name, at)| {
            MemberEvent::DisplayNameChanged { member_id, display_name, at }
        }),
        (member_id(), password_hash(), timestamp()).prop_map(|(member_id, password_hash, at)| {
            MemberEvent::PasswordChanged { member_id, password_hash, at }
        }),
        (member_id(), role, timestamp()).prop_map(|(member_id, role, at)| MemberEvent::MemberRoleChanged {
            member_id,
            role,
            at
        }),
    ]
}

pub(crate) fn email_event() -> impl Strategy<Value = EmailEvent> {
    (email(), member_id(), timestamp()).prop_map(|(email, member_id, at)| EmailEvent::EmailClaimed {
        email,
        member_id,
        at,
    })
}

pub(crate) fn read_cursor_event() -> impl Strategy<Value = ReadCursorEvent> {
    (room_id(), member_id(), any::<u64>(), timestamp()).prop_map(|(room_id, member_id, seq, at)| {
        ReadCursorEvent::ReadCursorAdvanced { room_id, member_id, seq, at }
    })
}

pub(crate) fn room_event() -> impl Strategy<Value = RoomEvent> {
    let message = || (room_id(), message_id(), any::<u64>(), member_id(), timestamp());
    let membership = || (room_id(), member_id(), option::of(member_id()), any::<u64>(), timestamp());
    let role = prop_oneof![Just(RoomRole::Member), Just(RoomRole::Owner)];
    prop_oneof![
        (room_id(), room_name(), member_id(), timestamp()).prop_map(|(room_id, name, creator, at)| {
            RoomEvent::GroupRoomCreated { room_id, name, creator, at }
        }),
        (room_id(), [member_id(), member_id()], timestamp())
            .prop_map(|(room_id, members, at)| RoomEvent::DirectRoomOpened { room_id, members, at }),
        membership().prop_map(|(room_id, member_id, added_by, at_seq, at)| RoomEvent::MemberJoined {
            room_id,
            member_id,
            added_by,
            at_seq,
            at
        }),
        membership().prop_map(|(room_id, member_id, removed_by, at_seq, at)| RoomEvent::MemberLeft {
            room_id,
            member_id,
            removed_by,
            at_seq,
            at
        }),
        (membership(), role).prop_map(|((room_id, member_id, _, at_seq, at), role)| {
            RoomEvent::RoomRoleChanged { room_id, member_id, role, at_seq, at }
        }),
        (room_id(), any::<u64>(), timestamp()).prop_map(|(room_id, at_seq, at)| RoomEvent::RoomClosed {
            room_id,
            at_seq,
            at
        }),
        (message(), body()).prop_map(|((room_id, message_id, seq, sender_id, sent_at), body)| {
            RoomEvent::MessageSent { room_id, message_id, seq, sender_id, body, sent_at }
        }),
        (message(), body(), any::<u64>()).prop_map(
            |((room_id, message_id, seq, edited_by, edited_at), body, at_seq)| RoomEvent::MessageEdited {
                room_id,
                message_id,
                seq,
                edited_by,
                body,
                at_seq,
                edited_at
            }
        ),
        (message(), any::<u64>()).prop_map(|((room_id, message_id, seq, deleted_by, deleted_at), at_seq)| {
            RoomEvent::MessageDeleted { room_id, message_id, seq, deleted_by, at_seq, deleted_at }
        }),
    ]
}
