//! Identifiers. All are UUIDs: version 7 when issued, version 5 when derived from what they name.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Namespace of every id that is derived rather than issued (UUIDv5, RFC 9562 section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_3c5e_9a70_5d53_8f0e_7d2b_4a61_c2ee);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID as this id.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(s).map(Self)
            }
        }
    };
}

id! {
    /// A member: an account that can join rooms.
    MemberId
}
id! {
    /// A room, group or direct.
    RoomId
}
id! {
    /// One message, in any room.
    MessageId
}
id! {
    /// The read cursor of one member in one room.
    CursorId
}
id! {
    /// The reservation of one e-mail address.
    EmailId
}

impl RoomId {
    /// The id of the direct room of two members, the same whoever asks: get-or-create needs no lock.
    #[must_use]
    pub fn direct(one: MemberId, other: MemberId) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let mut name = *b"direct:................................";
        let (_, ids) = name.split_at_mut(7);
        let (first, second) = ids.split_at_mut(16);
        first.copy_from_slice(low.0.as_bytes());
        second.copy_from_slice(high.0.as_bytes());
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }
}

impl RoomId {
    /// The id of the room that an import makes of a conversation: the same each time.
    #[must_use]
    pub fn imported(conversation: &str) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("import-room:{conversation}").as_bytes()))
    }
}

impl MemberId {
    /// The id of the account that an import makes of an author: the same each time.
    #[must_use]
    pub fn imported(author: &str) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("import-member:{author}").as_bytes()))
    }
}

impl CursorId {
    /// The id of the read cursor of `member` in `room`.
    #[must_use]
    pub fn of(room: RoomId, member: MemberId) -> Self {
        Self(Uuid::new_v5(&room.0, member.0.as_bytes()))
    }
}

impl EmailId {
    /// The id of the reservation of an address; `key` is [`crate::text::Email::key`].
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("email:{key}").as_bytes()))
    }
}
