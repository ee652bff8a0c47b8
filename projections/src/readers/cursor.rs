//! Cursors of lists: the key of the last item of a page, opaque to clients.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;
use verbatim_application::ports::ReadError;

/// Longest cursor that is looked at, in bytes: a search key of 192 four-byte characters and an id.
const CURSOR_MAX: usize = 2_048;
/// Between the parts; no name, id or time holds it.
const SEPARATOR: char = '\u{1f}';

/// A key of one list. The list's name is part of the cursor, so that it fits no other.
pub(super) fn encode(list: &str, parts: [&str; 2]) -> String {
    let [sort, id] = parts;
    URL_SAFE_NO_PAD.encode(format!("{list}{SEPARATOR}{sort}{SEPARATOR}{id}"))
}

/// Sort value and id out of a cursor of this list.
pub(super) fn decode(list: &str, cursor: &str) -> Result<(String, String), ReadError> {
    if cursor.len() > CURSOR_MAX {
        return Err(ReadError::BadCursor);
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ReadError::BadCursor)?;
    let text = String::from_utf8(bytes).map_err(|_| ReadError::BadCursor)?;
    let rest = text.strip_prefix(list).and_then(|rest| rest.strip_prefix(SEPARATOR));
    let (sort, id) = rest.and_then(|rest| rest.split_once(SEPARATOR)).ok_or(ReadError::BadCursor)?;
    let id = Uuid::try_parse(id).map_err(|_| ReadError::BadCursor)?;
    Ok((sort.to_owned(), id.as_hyphenated().to_string()))
}

/// As [`decode`], for lists that sort by a moment.
pub(super) fn decode_moment(list: &str, cursor: &str) -> Result<(String, String), ReadError> {
    let (sort, id) = decode(list, cursor)?;
    let at = crate::values::parse_moment(&sort).map_err(|_| ReadError::BadCursor)?;
    Ok((crate::values::moment(at), id))
}

/// As [`decode`], for lists that sort by a number.
pub(super) fn decode_number(list: &str, cursor: &str) -> Result<(i64, String), ReadError> {
    let (sort, id) = decode(list, cursor)?;
    Ok((sort.parse().map_err(|_| ReadError::BadCursor)?, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "018f2b1c-0000-7000-8000-000000000001";

    proptest! {
        #[test]
        fn a_cursor_gives_back_its_key(sort in "[^\u{1f}]{0,40}") {
            let (found, id) = decode("rooms", &encode("rooms", [&sort, ID])).unwrap();
            prop_assert_eq!((found.as_str(), id.as_str()), (sort.as_str(), ID));
        }

        #[test]
        fn nothing_that_a_client_makes_up_is_a_panic(cursor in ".{0,80}") {
            let _ = decode("rooms", &cursor);
            let _ = decode_moment("rooms", &cursor);
            let _ = decode_number("rooms", &cursor);
        }
    }

    #[test]
    fn a_cursor_fits_its_own_list_only() {
        let cursor = encode("rooms", ["2026-07-01T00:00:00.000000Z", ID]);
        assert!(decode_moment("rooms", &cursor).is_ok());
        assert!(matches!(decode("members", &cursor), Err(ReadError::BadCursor)));
        assert!(matches!(decode_number("rooms", &cursor), Err(ReadError::BadCursor)));
    }
}
