//! The contract of [`SessionStore`]: a fixture is an empty store and what it lives in.

use chrono::{DateTime, TimeDelta};
use futures_util::future::join_all;
use std::{any::Any, sync::Arc};
use uuid::Uuid;
use verbatim_application::ports::{RefreshOutcome, SessionStore};
use verbatim_domain::{MemberId, Timestamp};

/// A store, and what must live as long.
pub type Fixture = (Arc<dyn SessionStore>, Box<dyn Any + Send + Sync>);

/// Makes a test of each case.
macro_rules! session_store_contract {
    ($fixture:expr) => {
        $crate::contract::contract!(sessions, $fixture;
            each_rotation_gives_the_next_token
            a_used_token_ends_its_whole_family
            even_the_oldest_token_is_recognised
            of_many_at_once_one_wins_and_the_family_ends
            what_is_no_token_is_refused
            a_token_lives_as_long_as_it_should
            closing_ends_one_session
            closing_with_a_used_token_ends_the_session_too
            closing_all_can_spare_one
            the_oldest_session_gives_way
        );
    };
}
pub(crate) use session_store_contract;

fn member(n: u128) -> MemberId {
    MemberId::from_uuid(Uuid::from_u128(n))
}

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// Rotates, and it must work.
async fn rotate(store: &dyn SessionStore, token: &str, now: Timestamp) -> (String, Uuid, MemberId) {
    match store.rotate(token, now).await.unwrap() {
        RefreshOutcome::Rotated { refresh_token, session_id, member_id } => {
            (refresh_token, session_id, member_id)
        }
        other => panic!("{other:?}"),
    }
}

async fn refused(store: &dyn SessionStore, token: &str, now: Timestamp) {
    assert_eq!(store.rotate(token, now).await.unwrap(), RefreshOutcome::Refused);
}

pub async fn each_rotation_gives_the_next_token((store, _keep): Fixture) {
    let (session, mut token) = store.open(member(1), at(0)).await.unwrap();
    let mut seen = vec![token.clone()];
    for n in 1..20 {
        let (next, of_session, of_member) = rotate(&*store, &token, at(n)).await;
        assert_eq!((of_session, of_member), (session, member(1)));
        assert!(!seen.contains(&next));
        seen.push(next.clone());
        token = next;
    }
}

pub async fn a_used_token_ends_its_whole_family((store, _keep): Fixture) {
    let (session, first) = store.open(member(1), at(0)).await.unwrap();
    let (_, other) = store.open(member(1), at(0)).await.unwrap();
    let (second, ..) = rotate(&*store, &first, at(1)).await;
    let reused = RefreshOutcome::Reused { session_id: session, member_id: member(1) };
    assert_eq!(store.rotate(&first, at(2)).await.unwrap(), reused);
    refused(&*store, &second, at(3)).await;
    refused(&*store, &first, at(3)).await;
    rotate(&*store, &other, at(3)).await;
}

pub async fn even_the_oldest_token_is_recognised((store, _keep): Fixture) {
    let (session, first) = store.open(member(1), at(0)).await.unwrap();
    let mut token = first.clone();
    for n in 1..50 {
        (token, ..) = rotate(&*store, &token, at(n)).await;
    }
    let reused = RefreshOutcome::Reused { session_id: session, member_id: member(1) };
    assert_eq!(store.rotate(&first, at(51)).await.unwrap(), reused);
    refused(&*store, &token, at(52)).await;
}

pub async fn of_many_at_once_one_wins_and_the_family_ends((store, _keep): Fixture) {
    let (_, token) = store.open(member(1), at(0)).await.unwrap();
    let outcomes = join_all((0..10).map(|_| store.rotate(&token, at(1)))).await;
    let mut rotated = Vec::new();
    let mut reused = 0;
    for outcome in outcomes {
        match outcome.unwrap() {
            RefreshOutcome::Rotated { refresh_token, .. } => rotated.push(refresh_token),
            RefreshOutcome::Reused { .. } => reused += 1,
            RefreshOutcome::Refused => {}
        }
    }
    assert_eq!((rotated.len(), reused), (1, 1), "and the others are refused");
    refused(&*store, &rotated[0], at(2)).await;
}

pub async fn what_is_no_token_is_refused((store, _keep): Fixture) {
    let (_, token) = store.open(member(1), at(0)).await.unwrap();
    for wrong in
        ["", "token", &token[1..], &token.to_uppercase(), &format!("{token} "), &"x".repeat(100_000), "\0"]
    {
        refused(&*store, wrong, at(1)).await;
        assert_eq!(store.close(wrong).await.unwrap(), None);
    }
    rotate(&*store, &token, at(1)).await;
}

pub async fn a_token_lives_as_long_as_it_should((store, _keep): Fixture) {
    let life = i64::try_from(store.lifetime().as_secs()).unwrap();
    let (_, token) = store.open(member(1), at(0)).await.unwrap();
    let (token, ..) = rotate(&*store, &token, at(life - 1)).await;
    let (token, ..) = rotate(&*store, &token, at(2 * life - 2)).await;
    refused(&*store, &token, at(3 * life - 2)).await;
    refused(&*store, &token, at(0)).await;
    // Others may be opened at any time, and the expired ones swept with it.
    let (_, old) = store.open(member(1), at(0)).await.unwrap();
    let (_, new) = store.open(member(2), at(life)).await.unwrap();
    refused(&*store, &old, at(life)).await;
    rotate(&*store, &new, at(life)).await;
}

pub async fn closing_ends_one_session((store, _keep): Fixture) {
    let (session, token) = store.open(member(1), at(0)).await.unwrap();
    let (_, other) = store.open(member(1), at(0)).await.unwrap();
    assert_eq!(store.close(&token).await.unwrap(), Some(session));
    assert_eq!(store.close(&token).await.unwrap(), None);
    refused(&*store, &token, at(1)).await;
    rotate(&*store, &other, at(1)).await;
}

pub async fn closing_with_a_used_token_ends_the_session_too((store, _keep): Fixture) {
    let (session, first) = store.open(member(1), at(0)).await.unwrap();
    let (second, ..) = rotate(&*store, &first, at(1)).await;
    assert_eq!(store.close(&first).await.unwrap(), Some(session));
    refused(&*store, &second, at(2)).await;
}

pub async fn closing_all_can_spare_one((store, _keep): Fixture) {
    let (kept, spared) = store.open(member(1), at(0)).await.unwrap();
    let (_, own) = store.open(member(1), at(0)).await.unwrap();
    let (_, others) = store.open(member(2), at(0)).await.unwrap();
    store.close_all(member(1), Some(kept)).await.unwrap();
    refused(&*store, &own, at(1)).await;
    let (spared, ..) = rotate(&*store, &spared, at(1)).await;
    store.close_all(member(1), None).await.unwrap();
    refused(&*store, &spared, at(2)).await;
    rotate(&*store, &others, at(2)).await;
}

/// However many a member opens, the store stays bounded, and the newest work.
pub async fn the_oldest_session_gives_way((store, _keep): Fixture) {
    let (_, others) = store.open(member(2), at(0)).await.unwrap();
    let (_, oldest) = store.open(member(1), at(0)).await.unwrap();
    let mut newest = String::new();
    for n in 1..=200 {
        (_, newest) = store.open(member(1), at(n)).await.unwrap();
    }
    refused(&*store, &oldest, at(300)).await;
    rotate(&*store, &newest, at(300)).await;
    rotate(&*store, &others, at(300)).await;
}
