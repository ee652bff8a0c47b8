//! Names of the keys. All have one hash tag, so that they share a slot of a Redis Cluster and one script may touch them all.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{verbatim:unread}:versions` | hash | tags of the versions: `active`, `previous`, `latest`; `count` of all there ever were |
//! | `{verbatim:unread}:vTAG:meta` | hash | `schema`, `position`, `mark` (see [`crate::feed::mark`]), `updated_at`, `error` |
//! | `{verbatim:unread}:vTAG:heads` | hash | room -> number of its last message |
//! | `{verbatim:unread}:vTAG:m:MEMBER` | hash | room -> number of the last message read; with a `-` before it of one who is not inside |
//! | `{verbatim:unread}:vTAG:d:ROOM` | sorted set | numbers of the room's deleted messages, each its own score |
//!
//! Members and rooms stand there as the 16 bytes of their ids.

use std::fmt;
use verbatim_domain::{MemberId, RoomId};

/// Which versions there are; also the key whose slot all share.
pub(super) const VERSIONS: &str = "{verbatim:unread}:versions";
/// What the keys of all versions begin with.
pub(super) const PREFIX: &str = "{verbatim:unread}:v";

/// Names one version: its number, and the second in which Redis began it. No tag is ever given twice, also not after
/// Redis has lost everything and counts from 1 again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(String);

impl Tag {
    pub(super) fn new(tag: String) -> Self {
        Self(tag)
    }

    /// The version's number, from 1.
    pub(super) fn number(&self) -> i32 {
        self.0.split('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What the version's keys begin with.
    pub(super) fn base(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    pub(super) fn meta(&self) -> String {
        format!("{PREFIX}{}:meta", self.0)
    }

    pub(super) fn heads(&self) -> String {
        format!("{PREFIX}{}:heads", self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key of some version holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Meta,
    Heads,
    Cursors(MemberId),
    Deleted(RoomId),
    /// None that this program writes.
    Other,
}

/// Takes a key apart; `None` if it is not of any version.
pub(super) fn parse(key: &[u8]) -> Option<(Tag, Key)> {
    let rest = key.strip_prefix(PREFIX.as_bytes())?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let (tag, rest) = rest.split_at(colon);
    let id = |bytes: &[u8]| uuid::Uuid::from_slice(bytes).ok();
    let key = match rest {
        b":meta" => Key::Meta,
        b":heads" => Key::Heads,
        [b':', b'm', b':', member @ ..] => {
            id(member).map_or(Key::Other, |id| Key::Cursors(MemberId::from_uuid(id)))
        }
        [b':', b'd', b':', room @ ..] => {
            id(room).map_or(Key::Other, |id| Key::Deleted(RoomId::from_uuid(id)))
        }
        _ => Key::Other,
    };
    Some((Tag(String::from_utf8_lossy(tag).into_owned()), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart() {
        let tag = Tag::new("12-66a1b2c3".to_owned());
        assert_eq!(tag.number(), 12);
        let member = MemberId::from_uuid(uuid::Uuid::from_u128(u128::from_be_bytes(*b"any:byte:at::all")));
        let of = |rest: &[u8]| [tag.base().as_bytes(), rest].concat();
        let parsed = |rest: &[u8]| parse(&of(rest)).unwrap();
        assert_eq!(parse(tag.meta().as_bytes()), Some((tag.clone(), Key::Meta)));
        assert_eq!(parse(tag.heads().as_bytes()), Some((tag.clone(), Key::Heads)));
        assert_eq!(parsed(b":m:any:byte:at::all"), (tag.clone(), Key::Cursors(member)));
        let room = RoomId::from_uuid(member.as_uuid());
        assert_eq!(parsed(b":d:any:byte:at::all"), (tag.clone(), Key::Deleted(room)));
        assert_eq!(parsed(b":m:short").1, Key::Other);
        assert_eq!(parsed(b":what").1, Key::Other);
        assert_eq!(parse(VERSIONS.as_bytes()), None);
        assert_eq!(parse(b"another key"), None);
    }
}
