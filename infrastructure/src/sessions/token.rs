//! Refresh tokens: `vrt_` and 64 hex digits. The first half is the family's, the second the token's own; 128 random bits
//! each.

use crate::random::{Hash, bytes, hash, hex};

const PREFIX: &str = "vrt_";
const HALF: usize = 32;

/// A token that was shown or is to be given out.
pub(crate) struct RefreshToken {
    family: String,
    own: String,
}

impl RefreshToken {
    /// The first of a new family.
    pub(crate) fn first() -> Result<Self, rand::rand_core::OsError> {
        Ok(Self { family: hex(&bytes::<16>()?), own: hex(&bytes::<16>()?) })
    }

    /// The next of the same family.
    pub(crate) fn next(&self) -> Result<Self, rand::rand_core::OsError> {
        Ok(Self { family: self.family.clone(), own: hex(&bytes::<16>()?) })
    }

    /// A token as it was given out; anything else is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (family, own) = text.strip_prefix(PREFIX)?.split_at_checked(HALF)?;
        let fine =
            |half: &str| half.len() == HALF && half.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (fine(family) && fine(own)).then(|| Self { family: family.to_owned(), own: own.to_owned() })
    }

    /// What is stored of the family.
    pub(crate) fn family(&self) -> Hash {
        hash(&self.family)
    }

    /// What is stored of the token.
    pub(crate) fn own(&self) -> Hash {
        hash(&self.own)
    }

    /// What the client gets.
    pub(crate) fn text(&self) -> String {
        format!("{PREFIX}{}{}", self.family, self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let first = RefreshToken::first().unwrap();
        let next = first.next().unwrap();
        assert_eq!(RefreshToken::parse(&next.text()).unwrap().text(), next.text());
        assert_eq!(first.family(), next.family());
        assert_ne!(first.own(), next.own());
        assert_ne!(RefreshToken::first().unwrap().family(), first.family());
    }

    proptest! {
        #[test]
        fn anything_else_is_none(text in "(vrt_)?\\PC{0,80}") {
            prop_assert!(RefreshToken::parse(&text).is_none_or(|token| token.text() == text));
        }
    }
}
