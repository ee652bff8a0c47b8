//! Texts that people type, parsed once at the edge into types that can only hold valid ones.

use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Why a text is not accepted. The sentence names the limit, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing that could be seen: empty, or white space only.
    #[error("must not be blank")]
    Blank,
    /// More characters than the type allows.
    #[error("must be at most {max} characters long")]
    TooLong {
        /// The limit, in Unicode scalar values.
        max: usize,
    },
    /// More bytes than the type allows.
    #[error("must be at most {max} bytes long in UTF-8")]
    TooManyBytes {
        /// The limit, in bytes.
        max: usize,
    },
    /// Fewer characters than the type asks for.
    #[error("must be at least {min} characters long")]
    TooShort {
        /// The limit, in Unicode scalar values.
        min: usize,
    },
    /// A control character, line separator or bidirectional override where a single line of text is wanted, or NUL
    /// anywhere.
    #[error("must not contain control characters")]
    Control,
    /// Not of the form local@domain.
    #[error("must be an e-mail address")]
    NotAnEmail,
    /// Not visible ASCII.
    #[error("must consist of visible ASCII characters")]
    NotAscii,
}

/// Characters that most programs draw as nothing at all: Unicode's Default_Ignorable_Code_Point
/// (DerivedCoreProperties.txt). Among them are the bidirectional overrides and isolates.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// What breaks a line, or turns the order in which the rest is drawn, has no place in a name.
fn is_forbidden_in_a_name(c: char) -> bool {
    let breaks_the_line = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    // Bidirectional overrides would let one name be shown as another (Unicode TR 36, section 2.5).
    let turns_the_order = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    breaks_the_line || turns_the_order
}

/// Trims, composes (NFC) and checks a one-line name.
fn one_line(raw: &str, max: usize) -> Result<String, TextError> {
    // A name far over the limit is refused before it is normalised, so a hostile one costs nothing.
    if raw.len() > max * 16 {
        return Err(TextError::TooLong { max });
    }
    let name: String = raw.trim().nfc().collect();
    if name.chars().count() > max {
        return Err(TextError::TooLong { max });
    }
    if name.chars().any(is_forbidden_in_a_name) {
        return Err(TextError::Control);
    }
    // Joiners and variation selectors belong inside names (emoji, Persian, Indic scripts), but one made of nothing else
    // could be seen, or clicked, by nobody.
    if name.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
        return Err(TextError::Blank);
    }
    Ok(name)
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        // A stored event is a fact: reading it back is no place to apply today's limits.
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks `raw` and takes it in.
            ///
            /// # Errors
            /// [`TextError`] says which limit is broken.
            pub fn parse(raw: &str) -> Result<Self, TextError> {
                let parse: fn(&str) -> Result<String, TextError> = $parse;
                parse(raw).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Longest [`DisplayName`], in characters.
pub const DISPLAY_NAME_MAX: usize = 64;
/// Longest [`RoomName`], in characters.
pub const ROOM_NAME_MAX: usize = 100;
/// Longest [`MessageBody`], in bytes of UTF-8.
pub const MESSAGE_BODY_MAX: usize = 16 * 1024;
/// Longest [`Email`], in bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_MAX: usize = 254;
/// Shortest password, in characters (OWASP ASVS 5.0, 6.2.1).
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in bytes: a limit on the work of hashing, far above any pass phrase.
pub const PASSWORD_MAX: usize = 256;
/// Longest [`IdempotencyKey`], in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 128;

text! {
    /// What others see of a member: one line of 1 to [`DISPLAY_NAME_MAX`] characters, trimmed, in NFC.
    DisplayName, |raw| one_line(raw, DISPLAY_NAME_MAX)
}

text! {
    /// The name of a group room: one line of 1 to [`ROOM_NAME_MAX`] characters, trimmed, in NFC.
    RoomName, |raw| one_line(raw, ROOM_NAME_MAX)
}

text! {
    /// What is said, kept to the byte: nothing is trimmed or normalised. Not blank, no NUL (PostgreSQL text cannot
    /// hold one), at most [`MESSAGE_BODY_MAX`] bytes.
    MessageBody, |raw| {
        if raw.len() > MESSAGE_BODY_MAX {
            return Err(TextError::TooManyBytes { max: MESSAGE_BODY_MAX });
        }
        if raw.trim().is_empty() {
            return Err(TextError::Blank);
        }
        if raw.contains('\0') {
            return Err(TextError::Control);
        }
        Ok(raw.to_owned())
    }
}

text! {
    /// An e-mail address as typed, trimmed. Two addresses that differ in case only are the same ([`Email::key`]).
    Email, |raw| {
        let email = raw.trim();
        if email.len() > EMAIL_MAX {
            return Err(TextError::TooManyBytes { max: EMAIL_MAX });
        }
        let (local, domain) = email.rsplit_once('@').ok_or(TextError::NotAnEmail)?;
        let visible = |c: char| !c.is_whitespace() && !c.is_control() && !is_invisible(c) && c != '@';
        let label = |l: &str| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-')
            && l.chars().all(|c| c == '-' || c.is_alphanumeric() && !is_invisible(c));
        let fine = !local.is_empty() && local.len() <= 64 && local.chars().all(visible)
            && !domain.is_empty() && domain.split('.').all(label);
        if fine { Ok(email.to_owned()) } else { Err(TextError::NotAnEmail) }
    }
}

impl MessageBody {
    /// Takes in what was said elsewhere, in the past: it may be blank, for history is not to be corrected.
    ///
    /// # Errors
    /// [`TextError::TooManyBytes`], or [`TextError::Control`] for NUL.
    pub fn historical(raw: &str) -> Result<Self, TextError> {
        match Self::parse(raw) {
            Err(TextError::Blank) if !raw.contains('\0') => Ok(Self(raw.to_owned())),
            other => other,
        }
    }
}

impl Email {
    /// What makes the address unique: two addresses that differ in case only, or in how their letters are composed,
    /// have the same key. The key is composed (NFC); for ASCII it is the address in lower case.
    ///
    /// Lower case alone would not do: ß and SS, or the two small sigmas, are one letter in upper case and two in
    /// lower. So each letter goes down, up and down again, which is case folding (Unicode, section 5.18) by the
    /// tables that the standard library has.
    #[must_use]
    pub fn key(&self) -> String {
        self.0
            .nfd()
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfc()
            .collect()
    }
}

text! {
    /// A client's name for one attempt to create something: 1 to [`IDEMPOTENCY_KEY_MAX`] visible ASCII characters
    /// (the charset of an HTTP header value without spaces).
    IdempotencyKey, |raw| {
        if raw.is_empty() {
            return Err(TextError::Blank);
        }
        if raw.len() > IDEMPOTENCY_KEY_MAX {
            return Err(TextError::TooManyBytes { max: IDEMPOTENCY_KEY_MAX });
        }
        if !raw.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TextError::NotAscii);
        }
        Ok(raw.to_owned())
    }
}

/// A password in clear, on its way to being hashed. It is never stored, shown or logged: it has no `Serialize` and
/// its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Checks the length, and nothing else: composition rules make passwords worse (NIST SP 800-63B, 5.1.1.2).
    ///
    /// # Errors
    /// [`TextError::TooShort`] or [`TextError::TooManyBytes`].
    pub fn parse(raw: &str) -> Result<Self, TextError> {
        // Once before composing, so that a hostile text costs nothing, and once after, since a few characters grow.
        let short_enough = |password: &str| match password.len() {
            0..=PASSWORD_MAX => Ok(()),
            _ => Err(TextError::TooManyBytes { max: PASSWORD_MAX }),
        };
        short_enough(raw)?;
        // The same typed characters may arrive composed or not, by the keyboard's whim (RFC 8265, section 4.2: NFC).
        let password: String = raw.nfc().collect();
        short_enough(&password)?;
        if password.chars().count() < PASSWORD_MIN {
            return Err(TextError::TooShort { min: PASSWORD_MIN });
        }
        Ok(Self(password))
    }

    /// The clear text, for the hasher only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// A password hash in PHC string format. Its `Debug` hides it, so that no log line can hold it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string, as the hasher made it.
    #[must_use]
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for the hasher only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}
