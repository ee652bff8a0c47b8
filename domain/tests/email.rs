//! The rules of an address: who claims it first has it.

mod common;

use common::{ANNA, BEN, at, email, given};
use verbatim_domain::{
    EmailId, ErrorKind, Rejection,
    email::{Email, EmailCommand, EmailError, EmailEvent},
};

fn claim(address: &str, member_id: verbatim_domain::MemberId) -> EmailCommand {
    EmailCommand::Claim { email: email(address), member_id, at: at(0) }
}

fn claimed_by_anna() -> EmailEvent {
    EmailEvent::EmailClaimed { email: email("anna@example.org"), member_id: ANNA, at: at(0) }
}

#[test]
fn a_free_address_is_claimed_as_typed() {
    given::<Email>([]).when(claim("Anna@Example.org", ANNA)).then([EmailEvent::EmailClaimed {
        email: email("Anna@Example.org"),
        member_id: ANNA,
        at: at(0),
    }]);
    assert_eq!(given::<Email>([]).state().owner(), None);
    assert_eq!(given::<Email>([claimed_by_anna()]).state().owner(), Some(ANNA));
}

#[test]
fn a_taken_address_is_refused() {
    given::<Email>([claimed_by_anna()]).when(claim("anna@example.org", BEN)).then_refused(EmailError::Taken);
    given::<Email>([claimed_by_anna()]).when(claim("ANNA@EXAMPLE.ORG", BEN)).then_refused(EmailError::Taken);
}

#[test]
fn ones_own_address_is_claimed_already() {
    given::<Email>([claimed_by_anna()]).when(claim("anna@example.org", ANNA)).then_nothing();
}

#[test]
fn one_address_is_one_stream_however_it_is_typed() {
    let id = |address: &str| EmailId::of(&email(address).key());
    assert_eq!(id("anna@example.org"), id("  ANNA@Example.ORG "));
    assert_eq!(id("J\u{fc}rgen@example.org"), id("ju\u{308}rgen@example.org"));
    assert_ne!(id("anna@example.org"), id("anna@example.com"));
}

#[test]
fn the_code_of_the_refusal_stays() {
    assert_eq!((EmailError::Taken.code(), EmailError::Taken.kind()), ("email_taken", ErrorKind::Conflict));
}
