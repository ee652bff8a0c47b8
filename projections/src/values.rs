//! Between the domain's types and what stands in the columns.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use sea_orm::{DbErr, QueryResult, Value};
use std::str::FromStr;
use uuid::Uuid;
use verbatim_domain::{
    Timestamp,
    member::MemberRole,
    room::{RoomKind, RoomRole},
};

/// An id as its column holds it.
pub(crate) fn id(id: Uuid) -> Value {
    let mut buffer = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let text: &str = id.as_hyphenated().encode_lower(&mut buffer);
    text.into()
}

/// A number as its column holds it. Positions and message numbers stay far below 2^63.
pub(crate) fn number(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// A number out of its column.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A moment as its column holds it: RFC 3339 in UTC with microseconds, always 27 characters long.
pub(crate) fn moment(at: Timestamp) -> String {
    // Years outside 0..=9999 take a sign in RFC 3339's parent standard; chrono's own formatter knows about it.
    let Ok(year @ 0..=9999) = u32::try_from(at.year()) else {
        return at.to_rfc3339_opts(SecondsFormat::Micros, true);
    };
    // Written digit by digit: the formatter takes as long as the rest of a row.
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let mut put = |range: std::ops::Range<usize>, mut number: u32| {
        for digit in text.get_mut(range).unwrap_or_default().iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
        }
    };
    put(0..4, year);
    put(5..7, at.month());
    put(8..10, at.day());
    put(11..13, at.hour());
    put(14..16, at.minute());
    put(17..19, at.second());
    // A leap second has a nanosecond part of a second and more; it is shown as the last microsecond.
    put(20..26, (at.nanosecond() / 1_000).min(999_999));
    String::from_utf8_lossy(&text).into_owned()
}

/// A column holds something that this program never writes.
pub(crate) fn bad(column: &str, what: impl std::fmt::Display) -> DbErr {
    DbErr::Type(format!("column {column} holds {what}"))
}

/// A moment out of its column.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, DbErr> {
    DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).map_err(|e| bad("of a moment", e))
}

/// An id out of its column.
pub(crate) fn parse_id<T: FromStr<Err = uuid::Error>>(text: &str) -> Result<T, DbErr> {
    text.parse().map_err(|e| bad("of an id", e))
}

/// An id out of a row.
pub(crate) fn id_of<T: FromStr<Err = uuid::Error>>(row: &QueryResult, column: &str) -> Result<T, DbErr> {
    parse_id(&row.try_get::<String>("", column)?)
}

/// A number out of a row.
pub(crate) fn number_of(row: &QueryResult, column: &str) -> Result<u64, DbErr> {
    Ok(unsigned(row.try_get("", column)?))
}

/// A room's kind as its column holds it.
pub(crate) fn room_kind(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Group => "group",
        RoomKind::Direct => "direct",
    }
}

/// A room's kind out of its column.
pub(crate) fn parse_room_kind(text: &str) -> Result<RoomKind, DbErr> {
    match text {
        "group" => Ok(RoomKind::Group),
        "direct" => Ok(RoomKind::Direct),
        other => Err(bad("kind", other)),
    }
}

/// A role in a room as its column holds it.
pub(crate) fn room_role(role: RoomRole) -> &'static str {
    match role {
        RoomRole::Owner => "owner",
        RoomRole::Member => "member",
    }
}

/// A role in a room out of its column.
pub(crate) fn parse_room_role(text: &str) -> Result<RoomRole, DbErr> {
    match text {
        "owner" => Ok(RoomRole::Owner),
        "member" => Ok(RoomRole::Member),
        other => Err(bad("role", other)),
    }
}

/// A member's role as its column holds it.
pub(crate) fn member_role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Member => "member",
        MemberRole::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn moments_are_written_as_rfc_3339_and_read_back(micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000) {
            let at = DateTime::<Utc>::from_timestamp_micros(micros).unwrap();
            let text = moment(at);
            prop_assert_eq!(&text, &at.to_rfc3339_opts(SecondsFormat::Micros, true));
            prop_assert_eq!(text.len(), 27);
            prop_assert_eq!(parse_moment(&text).unwrap(), at);
        }

        #[test]
        fn texts_of_moments_sort_as_the_moments_do(a in 0_i64..253_000_000_000_000_000, b in 0_i64..253_000_000_000_000_000) {
            let at = |micros| DateTime::<Utc>::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(moment(at(a)).cmp(&moment(at(b))), a.cmp(&b));
        }
    }

    #[test]
    fn a_leap_second_still_takes_27_characters() {
        let at = DateTime::parse_from_rfc3339("2016-12-31T23:59:60.5Z").unwrap().with_timezone(&Utc);
        assert_eq!(moment(at), "2016-12-31T23:59:59.999999Z");
    }
}
