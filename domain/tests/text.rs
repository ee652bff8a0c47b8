//! Texts that people type: what is accepted, what is refused and why, and what holds for any string at all.

mod common;

use common::arbitrary;
use proptest::prelude::*;
use verbatim_domain::text::{
    DISPLAY_NAME_MAX, DisplayName, EMAIL_MAX, Email, IDEMPOTENCY_KEY_MAX, IdempotencyKey, MESSAGE_BODY_MAX,
    MessageBody, PASSWORD_MAX, PASSWORD_MIN, Password, ROOM_NAME_MAX, RoomName, TextError,
};

/// What `parse` makes of `raw`, as text.
macro_rules! parsed {
    ($text:ty, $raw:expr) => {
        <$text>::parse($raw).map(|text| text.to_string())
    };
}

#[test]
fn a_name_is_trimmed_and_composed() {
    assert_eq!(parsed!(DisplayName, " \u{3000}Anna B.\t"), Ok("Anna B.".to_owned()));
    assert_eq!(parsed!(RoomName, "Cafe\u{301}"), Ok("Caf\u{e9}".to_owned()));
}

#[test]
fn a_name_has_a_greatest_length_in_characters() {
    for (raw_char, times) in [("a", 1), ("\u{1f600}", 1), ("u\u{308}", 1), ("\u{1112}\u{1161}\u{11ab}", 1)] {
        assert!(DisplayName::parse(&raw_char.repeat(DISPLAY_NAME_MAX * times)).is_ok(), "{raw_char}");
        let too_long = Err(TextError::TooLong { max: DISPLAY_NAME_MAX });
        assert_eq!(DisplayName::parse(&raw_char.repeat(DISPLAY_NAME_MAX + 1)), too_long, "{raw_char}");
    }
    assert!(RoomName::parse(&"a".repeat(ROOM_NAME_MAX)).is_ok());
    let too_long = Err(TextError::TooLong { max: ROOM_NAME_MAX });
    assert_eq!(RoomName::parse(&"a".repeat(ROOM_NAME_MAX + 1)), too_long);
    assert_eq!(RoomName::parse(&"a".repeat(10_000_000)), too_long);
}

#[test]
fn a_name_can_be_seen() {
    for blank in ["", " ", "\t\n", "\u{3000}", "\u{200b}", "\u{200d}\u{fe0f}", "\u{3164}", "\u{ad} \u{feff}"]
    {
        assert_eq!(DisplayName::parse(blank), Err(TextError::Blank), "{blank:?}");
    }
    // A family of three is joined by zero-width joiners; Persian needs the non-joiner.
    for seen in ["\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", "می\u{200c}خواهم", "❤\u{fe0f}"] {
        assert_eq!(parsed!(DisplayName, seen), Ok(seen.to_owned()));
    }
}

#[test]
fn a_name_is_one_line_in_one_direction() {
    for bad in
        ['\0', '\n', '\r', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{2069}']
    {
        assert_eq!(DisplayName::parse(&format!("An{bad}na")), Err(TextError::Control), "{bad:?}");
        assert_eq!(RoomName::parse(&format!("a{bad}b")), Err(TextError::Control), "{bad:?}");
    }
}

#[test]
fn a_message_is_kept_as_it_is() {
    for said in ["hi", "  two\r\nlines\t", "Cafe\u{301} \u{202e}abc", "\u{1}\u{7f}", "\u{feff}bom"] {
        assert_eq!(parsed!(MessageBody, said), Ok(said.to_owned()));
    }
}

#[test]
fn a_message_says_something_that_can_be_stored() {
    for blank in ["", " ", "\r\n\t\u{a0}\u{3000}"] {
        assert_eq!(MessageBody::parse(blank), Err(TextError::Blank), "{blank:?}");
    }
    for nul in ["\0", "a\0b"] {
        assert_eq!(MessageBody::parse(nul), Err(TextError::Control));
    }
}

#[test]
fn a_message_has_a_greatest_length_in_bytes() {
    let too_many = Err(TextError::TooManyBytes { max: MESSAGE_BODY_MAX });
    assert!(MessageBody::parse(&"a".repeat(MESSAGE_BODY_MAX)).is_ok());
    assert_eq!(MessageBody::parse(&"a".repeat(MESSAGE_BODY_MAX + 1)), too_many);
    assert!(MessageBody::parse(&"\u{1f600}".repeat(MESSAGE_BODY_MAX / 4)).is_ok());
    assert_eq!(MessageBody::parse(&"\u{1f600}".repeat(MESSAGE_BODY_MAX / 4 + 1)), too_many);
}

#[test]
fn an_address_is_accepted_as_typed() {
    for good in ["a@b.c", "Anna+chat@Example.org", "o'hara@localhost", "jürgen@müller.example", "a@1.2-3.de"]
    {
        assert_eq!(parsed!(Email, &format!(" {good}\n")), Ok(good.to_owned()));
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let bad = [
        "",
        "@",
        "a",
        "a@",
        "@b.c",
        "a@b@c",
        "a b@c.d",
        "a@b..c",
        "a@.b",
        "a@b.",
        "a@-b.c",
        "a@b-.c",
        "a@b_c.d",
        "a@b c.d",
        "a\0@b.c",
        "a\u{200b}@b.c",
        "a\u{202e}@b.c",
        "a@b,c",
        "a@\u{3164}.c",
    ];
    for bad in bad {
        assert_eq!(Email::parse(bad), Err(TextError::NotAnEmail), "{bad:?}");
    }
}

#[test]
fn an_address_has_greatest_lengths() {
    let address = |local: usize, label: usize| format!("{}@{}.org", "a".repeat(local), "b".repeat(label));
    assert!(Email::parse(&address(64, 63)).is_ok());
    assert_eq!(Email::parse(&address(65, 63)), Err(TextError::NotAnEmail));
    assert_eq!(Email::parse(&address(64, 64)), Err(TextError::NotAnEmail));
    let long = |bytes: usize| format!("a@{}{}", "b.".repeat(bytes / 2 - 1), "b".repeat(bytes % 2));
    assert_eq!(long(255).len(), 255);
    assert!(Email::parse(&long(253)).is_ok());
    assert_eq!(Email::parse(&long(255)), Err(TextError::TooManyBytes { max: EMAIL_MAX }));
}

#[test]
fn an_address_has_one_key_in_any_case() {
    let key = |raw: &str| Email::parse(raw).unwrap().key();
    assert_eq!(key("Anna.B@Example.ORG"), "anna.b@example.org");
    for (one, other) in [
        ("straße@b.c", "STRASSE@B.C"),
        ("ẞ@b.c", "ß@b.c"),
        ("σοφός@b.c", "ΣΟΦΌΣ@B.C"),
        ("J\u{fc}rgen@b.c", "ju\u{308}RGEN@b.c"),
        ("ǅ@b.c", "ǆ@b.c"),
        ("\u{212a}@b.c", "k@b.c"),
    ] {
        assert_eq!(key(one), key(other), "{one} {other}");
    }
    assert_ne!(key("anna@b.c"), key("anne@b.c"));
    assert_ne!(key("a@b.c"), key("ä@b.c"));
}

#[test]
fn every_letter_has_one_key_in_any_case() {
    let mut letters = 0;
    for letter in ('\0'..=char::MAX).filter(|c| c.is_alphabetic()) {
        let key = |typed: String| Email::parse(&format!("x{typed}@b.c")).map(|email| email.key());
        // Hangul has letters that stand for no letter; they are invisible, so not in any address.
        let Ok(key_as_typed) = key(letter.to_string()) else { continue };
        letters += 1;
        assert_eq!(key(letter.to_uppercase().collect()).as_ref(), Ok(&key_as_typed), "{letter:?}");
        assert_eq!(key(letter.to_lowercase().collect()).as_ref(), Ok(&key_as_typed), "{letter:?}");
    }
    assert!(letters > 100_000, "only {letters} letters");
}

#[test]
fn an_idempotency_key_is_visible_ascii() {
    assert_eq!(parsed!(IdempotencyKey, "~order:17/!"), Ok("~order:17/!".to_owned()));
    assert_eq!(IdempotencyKey::parse(""), Err(TextError::Blank));
    for bad in [" ", "a b", "a\t", "\u{7f}", "é", "a\0"] {
        assert_eq!(IdempotencyKey::parse(bad), Err(TextError::NotAscii), "{bad:?}");
    }
    assert!(IdempotencyKey::parse(&"k".repeat(IDEMPOTENCY_KEY_MAX)).is_ok());
    let too_many = Err(TextError::TooManyBytes { max: IDEMPOTENCY_KEY_MAX });
    assert_eq!(IdempotencyKey::parse(&"k".repeat(IDEMPOTENCY_KEY_MAX + 1)), too_many);
}

#[test]
fn a_password_has_a_length_and_no_other_rule() {
    assert_eq!(Password::parse("1234567"), Err(TextError::TooShort { min: PASSWORD_MIN }));
    // Seven letters, however they were typed.
    assert_eq!(Password::parse(&"u\u{308}".repeat(7)), Err(TextError::TooShort { min: PASSWORD_MIN }));
    assert_eq!(Password::parse("        ").unwrap().reveal(), "        ");
    assert_eq!(Password::parse(&"u\u{308}".repeat(8)).unwrap().reveal(), "\u{fc}".repeat(8));
    assert!(Password::parse(&"\u{1f600}".repeat(PASSWORD_MAX / 4)).is_ok());
    let too_many = Err(TextError::TooManyBytes { max: PASSWORD_MAX });
    assert_eq!(Password::parse(&"a".repeat(PASSWORD_MAX + 1)), too_many);
    // A musical half note takes 4 bytes, and 8 once composed (it is excluded from composition).
    assert_eq!(Password::parse(&"\u{1d15e}".repeat(PASSWORD_MAX / 4)), too_many);
}

#[test]
fn a_secret_is_not_shown() {
    use verbatim_domain::text::PasswordHash;
    let password = Password::parse("correct horse").unwrap();
    assert_eq!(format!("{password:?}"), "Password(***)");
    assert_eq!(format!("{:?}", PasswordHash::new("$argon2id$x".to_owned())), "PasswordHash(***)");
}

#[test]
fn a_refusal_names_the_limit() {
    assert_eq!(TextError::TooLong { max: 64 }.to_string(), "must be at most 64 characters long");
    assert_eq!(TextError::TooManyBytes { max: 9 }.to_string(), "must be at most 9 bytes long in UTF-8");
    assert_eq!(TextError::TooShort { min: 8 }.to_string(), "must be at least 8 characters long");
}

/// What holds for a name, once accepted.
fn is_a_name(name: &str, max: usize) -> bool {
    use unicode_normalization::is_nfc;
    (1..=max).contains(&name.chars().count())
        && name.trim() == name
        && is_nfc(name)
        && !name.contains(|c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c))
}

proptest! {
    #![proptest_config(arbitrary::config())]

    #[test]
    fn any_name(raw in arbitrary::nasty_text(120)) {
        if let Ok(name) = DisplayName::parse(&raw) {
            prop_assert!(is_a_name(name.as_str(), DISPLAY_NAME_MAX), "{:?}", name);
            prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
        }
        if let Ok(name) = RoomName::parse(&raw) {
            prop_assert!(is_a_name(name.as_str(), ROOM_NAME_MAX), "{:?}", name);
            prop_assert_eq!(RoomName::parse(name.as_str()), Ok(name));
        }
    }

    /// Accepted names, so that the test above can't pass by refusing all.
    #[test]
    fn a_name_of_letters_is_accepted(raw in " ?\\p{Lu}[\\p{L}\\p{N}]{0,12}( [\\p{L}\\p{N}\\p{M}\\p{P}]{1,6})? ?") {
        let accepted = DisplayName::parse(&raw);
        prop_assert!(accepted.is_ok(), "{:?} {:?}", raw, accepted);
        prop_assert!(is_a_name(accepted.unwrap().as_str(), DISPLAY_NAME_MAX));
    }

    #[test]
    fn any_message(raw in prop_oneof![
        arbitrary::nasty_text(60),
        (arbitrary::nasty_text(30), 0..3_000_usize).prop_map(|(text, times)| text.repeat(times)),
    ]) {
        let sayable = raw.len() <= MESSAGE_BODY_MAX && !raw.contains('\0') && !raw.trim().is_empty();
        match MessageBody::parse(&raw) {
            Ok(body) => {
                prop_assert!(sayable);
                prop_assert_eq!(body.as_str(), &raw, "kept to the byte");
                let json = serde_json::to_string(&body).unwrap();
                prop_assert_eq!(serde_json::from_str::<MessageBody>(&json).unwrap(), body);
            }
            Err(_) => prop_assert!(!sayable),
        }
    }

    #[test]
    fn any_address(raw in arbitrary::nasty_text(20), domain in arbitrary::nasty_text(20)) {
        for typed in [raw.clone(), format!("{raw}@{domain}")] {
            if let Ok(email) = Email::parse(&typed) {
                prop_assert_eq!(email.as_str(), typed.trim());
                prop_assert!(email.as_str().len() <= EMAIL_MAX);
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
                prop_assert!(!email.as_str().contains(char::is_whitespace));
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }
    }

    #[test]
    fn any_address_has_one_key_in_any_case(email in arbitrary::email()) {
        let key = email.key();
        for typed in [email.as_str().to_uppercase(), email.as_str().to_lowercase(), key.clone()] {
            // In another case it may be too long, or no domain any more; then it has no key.
            if let Ok(same) = Email::parse(&typed) {
                prop_assert_eq!(same.key(), key.clone(), "{} {}", email, typed);
            }
        }
    }

    #[test]
    fn an_ascii_key_is_lower_case(raw in "[!-?A-~]{1,30}@[A-Za-z0-9]{1,20}\\.[A-Za-z]{2,10}") {
        prop_assert_eq!(Email::parse(&raw).unwrap().key(), raw.to_ascii_lowercase());
    }

    #[test]
    fn any_idempotency_key(raw in prop_oneof![arbitrary::nasty_text(20), "[!-~]{0,140}"]) {
        let fine = (1..=IDEMPOTENCY_KEY_MAX).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic());
        let parsed = IdempotencyKey::parse(&raw);
        prop_assert_eq!(parsed.is_ok(), fine);
        prop_assert!(parsed.is_err() || parsed.unwrap().as_str() == raw);
    }

    #[test]
    fn any_password(raw in prop_oneof![arbitrary::nasty_text(100), "[\u{1d15e}\u{1d160}a]{0,80}"]) {
        if let Ok(password) = Password::parse(&raw) {
            let clear = password.reveal();
            prop_assert!(clear.chars().count() >= PASSWORD_MIN);
            prop_assert!(clear.len() <= PASSWORD_MAX);
            prop_assert!(Password::parse(clear) == Ok(password.clone()));
        }
    }
}
