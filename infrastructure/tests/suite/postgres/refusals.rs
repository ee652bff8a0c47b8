//! Whatever the server refuses leaves nothing in the log, and the next append works once the reason is gone.

use super::{
    fate::{LIMIT, PAUSE},
    log::{at_the_prompt, open},
    private_server, until,
};
use crate::contract::event_log::*;
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};
use verbatim_application::ports::{AppendError, EventLog};
use verbatim_servers::postgres_database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_makes_appends_unavailable_and_leaves_reads_alone() {
    let database = postgres_database();
    let log = open(database.url()).await;
    append(&log, vec![event(stream(1), 1)]).await;
    for lock in ["SELECT * FROM event_log_turn FOR UPDATE", "LOCK TABLE events IN SHARE MODE"] {
        let mut holder = PgConnection::connect(database.url()).await.unwrap();
        holder.execute(format!("BEGIN; {lock}").as_str()).await.unwrap();
        let began = Instant::now();
        let outcomes =
            join_all((0..10).map(|n| log.append(vec![event(stream(10 + n), 1)], vec![], at(0)))).await;
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        for outcome in outcomes {
            assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
        }
        assert_eq!(log.head().await.unwrap(), log.read(0, 10).await.unwrap().len() as u64);
        holder.close().await.unwrap();
        let head = log.head().await.unwrap();
        assert_eq!(append(&log, vec![event(stream(1), head + 1)]).await, head + 1);
    }
    assert_eq!(all(&log).await.len(), 3, "nothing of what was refused came later");
}

#[tokio::test]
async fn a_log_that_is_read_only_can_be_read_and_goes_on_by_itself() {
    let database = postgres_database();
    let name = database.url().rsplit('/').next().unwrap();
    append(&open(database.url()).await, vec![event(stream(1), 1)]).await;
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    at_the_prompt(database.url(), &read_only).await.unwrap();
    let log = open(database.url()).await;
    for _ in 0..3 {
        let outcome = log.append(vec![event(stream(1), 2)], vec![], at(0)).await;
        assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    }
    assert_eq!(all(&log).await.len(), 1);
    let writable = format!("SET default_transaction_read_only = off; ALTER DATABASE {name} RESET ALL");
    let mut prompt = PgConnection::connect(database.url()).await.unwrap();
    for statement in writable.split(';') {
        prompt.execute(statement).await.unwrap();
    }
    assert_eq!(append(&log, vec![event(stream(1), 2)]).await, 2);
}

/// Every error the server can give to an append, given by a trigger.
#[tokio::test]
async fn a_refusal_of_the_server_means_that_nothing_was_written() {
    let database = postgres_database();
    let log = open(database.url()).await;
    append(&log, vec![event(stream(1), 1)]).await;
    let fail = |how: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {how}; END $$;
            CREATE OR REPLACE TRIGGER fail AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION fail()"
        )
    };
    // Disk full, out of memory, too many connections, cancelled, deadlock, serialisation, internal, another unique index,
    // and, from what only looks like PostgreSQL, two that say nothing.
    let codes = ["53100", "53200", "53300", "57014", "40P01", "40001", "XX000", "23505", "40003", "08007"];
    for code in codes {
        at_the_prompt(database.url(), &fail(&format!("RAISE EXCEPTION 'no' USING ERRCODE = '{code}'")))
            .await
            .unwrap();
        let outcome = log.append(vec![event(stream(1), 2)], vec![snapshot(stream(1), 2, "no")], at(0)).await;
        match outcome {
            Err(AppendError::Unknown(_)) => assert!(["40003", "08007"].contains(&code), "{code}"),
            Err(AppendError::Unavailable(_)) => assert!(!["40003", "08007"].contains(&code), "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
    // The server ends the session in the middle: nobody says that nothing was written, though nothing was.
    at_the_prompt(database.url(), &fail("PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL"))
        .await
        .unwrap();
    let outcome = log.append(vec![event(stream(1), 2)], vec![], at(0)).await;
    assert!(matches!(outcome, Err(AppendError::Unknown(_))), "{outcome:?}");
    // A statement that is too slow is given up by the server before we give up on the server.
    at_the_prompt(database.url(), &fail("PERFORM pg_sleep(60); RETURN NULL")).await.unwrap();
    let began = Instant::now();
    let outcome = log.append(vec![event(stream(1), 2)], vec![], at(0)).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    at_the_prompt(database.url(), "DROP TRIGGER fail ON events").await.unwrap();
    assert_eq!(append(&log, vec![event(stream(1), 2)]).await, 2);
    assert_eq!((all(&log).await.len(), log.load_snapshot(stream(1)).await.unwrap()), (2, None));
}

#[tokio::test]
async fn a_server_without_room_for_connections_takes_nothing_until_there_is() {
    let (_server, url) = private_server();
    let log = open(&url).await;
    let mut crowd = Vec::new();
    while let Ok(connection) = PgConnection::connect(&url).await {
        crowd.push(connection);
        assert!(crowd.len() < 1_000, "the server has no limit");
    }
    let outcome = log.append(vec![event(stream(1), 1)], vec![], at(0)).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    assert_eq!(log.head().await.unwrap(), 0, "the connection that is open works");
    drop(crowd);
    let (first, _) =
        until(PAUSE, || async { log.append(vec![event(stream(1), 1)], vec![], at(0)).await.ok() }).await;
    assert_eq!(first.first_position, 1);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_any_more_is_done_or_not_and_harms_nobody() {
    let database = postgres_database();
    let log = open(database.url()).await;
    for n in 0..50 {
        let forgotten = log.append(events(stream(1_000 + n), 1..=3), vec![], at(0));
        let limit = Duration::from_micros(u64::try_from(n).unwrap() * 100);
        let _ = tokio::time::timeout(limit, forgotten).await;
        append(&log, vec![event(stream(n), 1)]).await;
    }
    // The server may still be at it for a moment.
    let settled = until(PAUSE, || async {
        let (one, other) =
            (log.head().await.unwrap(), log.append(vec![], vec![snapshot(stream(1), 1, "s")], at(0)).await);
        (other.unwrap().first_position == one + 1).then_some(one)
    });
    let (head, _) = settled.await;
    let stored = all(&log).await;
    assert_eq!(stored.len() as u64, head);
    assert_gapless(&stored);
    assert_eq!((head - 50) % 3, 0, "each as a whole or not at all");
    let stats = log.writers();
    assert_eq!((stats.in_use, stats.calls, stats.idle), (0, 0, stats.size));
}
