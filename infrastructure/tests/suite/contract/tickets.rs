//! The contract of [`TicketStore`]: a fixture is an empty one, and what it lives in.

use chrono::{DateTime, TimeDelta};
use futures_util::future::join_all;
use std::{any::Any, collections::HashSet, sync::Arc};
use uuid::Uuid;
use verbatim_application::ports::{AccessClaims, IdentityError, TicketStore};
use verbatim_domain::{MemberId, Timestamp, member::MemberRole};

/// A store, and what must live as long.
pub type Fixture = (Arc<dyn TicketStore>, Box<dyn Any + Send + Sync>);

/// Makes a test of each case.
macro_rules! ticket_store_contract {
    ($fixture:expr) => {
        $crate::contract::contract!(tickets, $fixture;
            a_ticket_is_good_for_one_use
            of_many_at_once_one_may_use_it
            a_ticket_is_good_for_its_time
            what_is_no_ticket_is_none
            one_member_can_not_take_all
        );
    };
}
pub(crate) use ticket_store_contract;

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn claims(n: u128) -> AccessClaims {
    AccessClaims {
        member_id: MemberId::from_uuid(Uuid::from_u128(n)),
        role: MemberRole::Member,
        session_id: Uuid::from_u128(100 + n),
        expires_at: at(900),
    }
}

pub async fn a_ticket_is_good_for_one_use((tickets, _keep): Fixture) {
    let one = tickets.issue(claims(1), at(0)).await.unwrap();
    let other = tickets.issue(claims(2), at(0)).await.unwrap();
    assert_ne!(one.ticket, other.ticket);
    assert_eq!(tickets.redeem(&one.ticket, at(1)).await.unwrap(), Some(claims(1)));
    assert_eq!(tickets.redeem(&one.ticket, at(1)).await.unwrap(), None);
    assert_eq!(tickets.redeem(&other.ticket, at(1)).await.unwrap(), Some(claims(2)));
}

pub async fn of_many_at_once_one_may_use_it((tickets, _keep): Fixture) {
    let ticket = tickets.issue(claims(1), at(0)).await.unwrap().ticket;
    let uses = join_all((0..20).map(|_| tickets.redeem(&ticket, at(1)))).await;
    assert_eq!(uses.into_iter().filter(|used| used.as_ref().unwrap().is_some()).count(), 1);
}

pub async fn a_ticket_is_good_for_its_time((tickets, _keep): Fixture) {
    let (one, other) =
        (tickets.issue(claims(1), at(0)).await.unwrap(), tickets.issue(claims(1), at(0)).await.unwrap());
    let end = at(0) + one.expires_in;
    let just_before = end - TimeDelta::microseconds(1);
    assert_eq!(tickets.redeem(&one.ticket, just_before).await.unwrap(), Some(claims(1)));
    assert_eq!(tickets.redeem(&other.ticket, end).await.unwrap(), None);
}

pub async fn what_is_no_ticket_is_none((tickets, _keep): Fixture) {
    let ticket = tickets.issue(claims(1), at(0)).await.unwrap().ticket;
    for wrong in
        ["", "ticket", &ticket[1..], &ticket.to_uppercase(), &format!("{ticket} "), &"x".repeat(100_000)]
    {
        if wrong != ticket {
            assert_eq!(tickets.redeem(wrong, at(1)).await.unwrap(), None);
        }
    }
    assert!(tickets.redeem(&ticket, at(1)).await.unwrap().is_some());
}

pub async fn one_member_can_not_take_all((tickets, _keep): Fixture) {
    let mut issued = HashSet::new();
    let refused = loop {
        match tickets.issue(claims(1), at(0)).await {
            Ok(ticket) => assert!(issued.insert(ticket.ticket)),
            Err(error) => break error,
        }
        assert!(issued.len() < 10_000, "there is no limit");
    };
    assert!(matches!(refused, IdentityError::Overloaded), "{refused:?}");
    tickets.issue(claims(2), at(0)).await.unwrap();
    let ticket = tickets.issue(claims(1), at(60)).await.unwrap().ticket;
    assert!(tickets.redeem(&ticket, at(61)).await.unwrap().is_some());
}
