//! Sessions, log-in limits and tickets keep their contracts on PostgreSQL, and nodes that share them can't be played off
//! against each other.

use super::private_server;
use chrono::{DateTime, TimeDelta};
use futures_util::future::{join, join_all};
use sqlx::{Connection, PgConnection};
use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;
use verbatim_application::ports::{
    AccessClaims, IdentityError, LoginLimiter, RefreshOutcome, SessionStore, TicketStore,
};
use verbatim_domain::{MemberId, Timestamp, member::MemberRole};
use verbatim_infrastructure::{
    PostgresOpenError, PostgresSessions, PostgresSessionsOptions,
    postgres::{ANSWER_LIMIT, READY_LIMIT},
    sessions::{FAILURE_ROWS, REFRESH_LIFETIME, SESSIONS_PER_MEMBER},
    tickets::TICKETS_MAX,
};
use verbatim_migrations::sessions::POSTGRES;
use verbatim_servers::postgres_database;

pub async fn open(url: &str) -> PostgresSessions {
    PostgresSessions::open(url, POSTGRES, PostgresSessionsOptions::default()).await.unwrap()
}

async fn tables() -> (PostgresSessions, Box<dyn Any + Send + Sync>) {
    let database = postgres_database();
    (open(database.url()).await, Box::new(database))
}

mod sessions {
    use super::*;
    use crate::contract::sessions::{Fixture, session_store_contract};

    async fn fixture() -> Fixture {
        let (tables, keep) = tables().await;
        (Arc::new(tables.store(REFRESH_LIFETIME)), keep)
    }

    session_store_contract!(fixture().await);
}

mod login_limiter {
    use super::*;
    use crate::contract::login_limiter::{Fixture, login_limiter_contract};

    async fn fixture() -> Fixture {
        let (tables, keep) = tables().await;
        (Arc::new(tables.limiter()), keep)
    }

    login_limiter_contract!(fixture().await);
}

mod tickets {
    use super::*;
    use crate::contract::tickets::{Fixture, ticket_store_contract};

    async fn fixture() -> Fixture {
        let (tables, keep) = tables().await;
        (Arc::new(tables.tickets()), keep)
    }

    ticket_store_contract!(fixture().await);
}

fn member(n: u128) -> MemberId {
    MemberId::from_uuid(Uuid::from_u128(n))
}

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn claims(n: u128) -> AccessClaims {
    AccessClaims {
        member_id: member(n),
        role: MemberRole::Admin,
        session_id: Uuid::from_u128(n),
        expires_at: at(900),
    }
}

/// Two nodes on one database.
async fn nodes() -> (PostgresSessions, PostgresSessions, Box<dyn Any + Send + Sync>) {
    let database = postgres_database();
    (open(database.url()).await, open(database.url()).await, Box::new(database))
}

#[tokio::test]
async fn two_nodes_never_rotate_the_same_token_both() {
    let (one, other, _keep) = nodes().await;
    let (one, other) = (one.store(REFRESH_LIFETIME), other.store(REFRESH_LIFETIME));
    for n in 0..50 {
        let (session_id, token) = one.open(member(n), at(0)).await.unwrap();
        let (a, b) = join(one.rotate(&token, at(1)), other.rotate(&token, at(1))).await;
        let reused = RefreshOutcome::Reused { session_id, member_id: member(n) };
        let next = match (a.unwrap(), b.unwrap()) {
            (RefreshOutcome::Rotated { refresh_token, .. }, second) if second == reused => refresh_token,
            (first, RefreshOutcome::Rotated { refresh_token, .. }) if first == reused => refresh_token,
            outcomes => panic!("{outcomes:?}"),
        };
        assert_eq!(other.rotate(&next, at(2)).await.unwrap(), RefreshOutcome::Refused);
    }
}

#[tokio::test]
async fn a_ticket_of_one_node_is_good_for_one_use_at_any() {
    let (one, other, _keep) = nodes().await;
    let (one, other) = (one.tickets(), other.tickets());
    for n in 0..50 {
        let ticket = one.issue(claims(n), at(0)).await.unwrap().ticket;
        let (a, b) = join(one.redeem(&ticket, at(1)), other.redeem(&ticket, at(1))).await;
        let used: Vec<_> = [a.unwrap(), b.unwrap()].into_iter().flatten().collect();
        assert_eq!(used, [claims(n)]);
    }
}

#[tokio::test]
async fn guesses_at_two_nodes_count_together() {
    let (one, other, _keep) = nodes().await;
    let (one, other) = (one.limiter(), other.limiter());
    let address = Some([192, 0, 2, 1].into());
    let guesses = (0..40).map(|n| if n % 2 == 0 { &one } else { &other }.attempt("a", address, at(0)));
    let passed = join_all(guesses).await.into_iter().filter(|leave| leave.as_ref().unwrap().is_ok()).count();
    assert_eq!(passed, 5);
    // Many accounts from many addresses at once, and the right password among them: nobody waits for anybody in a circle.
    let crowd = (0..200_u8).map(|n| {
        let (limiter, address) = (if n % 2 == 0 { &one } else { &other }, Some([198, 51, 100, n % 7].into()));
        async move {
            let account = format!("account {}", n % 11);
            let leave = limiter.attempt(&account, address, at(60)).await?;
            if leave.is_ok() { limiter.succeeded(&account, address).await } else { Ok(()) }
        }
    });
    for outcome in join_all(crowd).await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn a_member_who_logs_in_everywhere_at_once_keeps_so_many_sessions() {
    let (one, other, _keep) = nodes().await;
    let (one, other) = (one.store(REFRESH_LIFETIME), other.store(REFRESH_LIFETIME));
    let opened =
        join_all((0..200).map(|n| if n % 2 == 0 { &one } else { &other }.open(member(1), at(n)))).await;
    let mut alive = 0;
    // Those that came at the same moment did not see each other; the next puts it right.
    let (_, last) = one.open(member(1), at(1_000)).await.unwrap();
    for session in opened {
        let outcome = one.rotate(&session.unwrap().1, at(1_001)).await.unwrap();
        alive += u32::from(matches!(outcome, RefreshOutcome::Rotated { .. }));
    }
    assert_eq!(alive, SESSIONS_PER_MEMBER - 1);
    assert!(matches!(one.rotate(&last, at(1_001)).await.unwrap(), RefreshOutcome::Rotated { .. }));
}

#[tokio::test]
async fn failures_and_tickets_are_bounded() {
    let database = postgres_database();
    let node = open(database.url()).await;
    let mut prompt = PgConnection::connect(database.url()).await.unwrap();
    let many = format!(
        "INSERT INTO account_failures SELECT sha256(n::text::bytea), 1, to_timestamp(0), to_timestamp(1800000000)
            FROM generate_series(1, {FAILURE_ROWS} + 500) AS n;
        INSERT INTO tickets SELECT sha256(n::text::bytea), gen_random_uuid(), 'member', gen_random_uuid(),
            to_timestamp(1800000000), to_timestamp({}) FROM generate_series(1, {TICKETS_MAX}) AS n",
        at(20).timestamp()
    );
    sqlx::raw_sql(&many).execute(&mut prompt).await.unwrap();
    let now =
        (0..).map(|n| at(0) + TimeDelta::microseconds(n)).find(|t| t.timestamp_micros() % 256 == 0).unwrap();
    node.limiter().attempt("a", None, now).await.unwrap().unwrap();
    let count = "SELECT count(*) FROM account_failures";
    let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut prompt).await.unwrap();
    assert_eq!(rows, i64::from(FAILURE_ROWS));
    let refused = node.tickets().issue(claims(1), now).await;
    assert!(matches!(refused, Err(IdentityError::Overloaded)), "{refused:?}");
    node.tickets().issue(claims(1), at(20)).await.unwrap();
}

#[tokio::test]
async fn neither_tokens_nor_tickets_nor_accounts_are_in_the_tables() {
    let database = postgres_database();
    let node = open(database.url()).await;
    let (_, token) = node.store(REFRESH_LIFETIME).open(member(1), at(0)).await.unwrap();
    let ticket = node.tickets().issue(claims(1), at(0)).await.unwrap().ticket;
    node.limiter().attempt("somebody@example.org", None, at(0)).await.unwrap().unwrap();
    let mut prompt = PgConnection::connect(database.url()).await.unwrap();
    let all = "SELECT coalesce(string_agg(t, ' '), '') FROM (SELECT sessions::text FROM sessions
        UNION ALL SELECT tickets::text FROM tickets UNION ALL SELECT account_failures::text FROM account_failures) AS r (t)";
    let all: String = sqlx::query_scalar(all).fetch_one(&mut prompt).await.unwrap();
    assert!(all.contains(&member(1).to_string()), "this test looks in the right place");
    let halves = token.trim_start_matches("vrt_").split_at(32);
    for secret in [&token, halves.0, halves.1, &ticket, "somebody@example.org"] {
        assert!(!all.contains(secret) && !all.contains(&hex(secret)), "{secret}");
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_database_without_the_tables_is_refused_and_left_alone() {
    let database = postgres_database();
    let options = PostgresSessionsOptions { migrate: false, ..PostgresSessionsOptions::default() };
    for _ in 0..2 {
        let refused = PostgresSessions::open(database.url(), POSTGRES, options.clone()).await.err();
        let missing = matches!(refused, Some(PostgresOpenError::OlderSchema { found: 0, needed: 1, .. }));
        assert!(missing, "{refused:?}");
    }
    open(database.url()).await;
    PostgresSessions::open(database.url(), POSTGRES, options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_server_calls_fail_in_time_and_with_it_they_work_again() {
    let (mut server, url) = private_server();
    let node = open(&url).await;
    let store = node.store(REFRESH_LIFETIME);
    let (_, token) = store.open(member(1), at(0)).await.unwrap();
    let limit = READY_LIMIT + ANSWER_LIMIT + Duration::from_secs(1);
    server.freeze();
    let began = Instant::now();
    assert!(matches!(store.rotate("vrt_", at(1)).await, Ok(RefreshOutcome::Refused)), "that needs no server");
    assert!(matches!(node.tickets().issue(claims(1), at(1)).await, Err(IdentityError::Unavailable(_))));
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    server.thaw();
    node.tickets().issue(claims(1), at(1)).await.unwrap();
    server.kill_9();
    let began = Instant::now();
    assert!(matches!(node.limiter().attempt("a", None, at(1)).await, Err(IdentityError::Unavailable(_))));
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    server.start_again();
    assert!(matches!(store.rotate(&token, at(2)).await.unwrap(), RefreshOutcome::Rotated { .. }));
}
