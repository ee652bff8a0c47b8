//! [`PostgresEventLog`] keeps the contract, and what a database promises beyond it.

use super::until;
use crate::contract::event_log::{self, *};
use futures_util::{FutureExt, future::join_all};
use sqlx::{Connection, PgConnection, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};
use verbatim_application::ports::{AppendError, EventLog};
use verbatim_infrastructure::{
    PostgresEventLog, PostgresLogOptions, PostgresOpenError, postgres::deep_check,
};
use verbatim_migrations::event_log::POSTGRES;
use verbatim_servers::postgres_database;

pub async fn open(url: &str) -> PostgresEventLog {
    PostgresEventLog::open(url, POSTGRES, PostgresLogOptions::default()).await.expect("open")
}

/// Opens, and it must fail.
async fn refused(url: &str, options: PostgresLogOptions) -> PostgresOpenError {
    PostgresEventLog::open(url, POSTGRES, options).await.map(|_| "opened").unwrap_err()
}

fn unmigrated() -> PostgresLogOptions {
    PostgresLogOptions { migrate: false, ..PostgresLogOptions::default() }
}

/// Runs SQL as somebody at the psql prompt would.
pub async fn at_the_prompt(url: &str, sql: &str) -> sqlx::Result<()> {
    let mut prompt = PgConnection::connect(url).await?;
    sqlx::raw_sql(sql).execute(&mut prompt).await.map(drop)
}

fn fixture() -> Fixture {
    let database = postgres_database();
    let url = database.url().to_owned();
    Fixture {
        open: Box::new(move || {
            let url = url.clone();
            async move { Arc::new(open(&url).await) as Arc<dyn EventLog> }.boxed()
        }),
        _keep: Box::new(database),
    }
}

event_log::event_log_contract!(fixture());

#[tokio::test]
async fn everything_is_there_after_closing_and_opening_again() {
    let database = postgres_database();
    let before = {
        let log = open(database.url()).await;
        log.append(vec![keyed(stream(1), 1, "k")], vec![snapshot(stream(1), 1, "s")], at(3)).await.unwrap();
        all(&log).await
    };
    let log = PostgresEventLog::open(database.url(), POSTGRES, unmigrated()).await.unwrap();
    assert_eq!(*log.head_hint().borrow(), 1);
    assert_eq!(all(&log).await, before);
    assert_eq!(log.load_snapshot(stream(1)).await.unwrap().unwrap().payload, snapshot_payload("s"));
    conflict(&log, vec![event(stream(1), 1)]).await;
    assert_eq!(append(&log, vec![event(stream(1), 2)]).await, 2);
    let report = deep_check(database.url()).await.unwrap();
    assert_eq!((report.events, report.head, report.findings), (2, 2, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_starts_at_once_share_one_log() {
    let database = postgres_database();
    let starts = (0..8).map(|_| {
        let url = database.url().to_owned();
        // The sessions' tables are made in the same database at the same moment.
        tokio::spawn(async move { (open(&url).await, super::identity::open(&url).await) })
    });
    for (sequence, nodes) in (1..).zip(join_all(starts).await) {
        append(&nodes.unwrap().0, vec![event(stream(1), sequence)]).await;
    }
    assert_eq!(open(database.url()).await.head().await.unwrap(), 8);
}

#[tokio::test]
async fn a_database_without_the_tables_is_refused_and_left_alone() {
    let database = postgres_database();
    for _ in 0..2 {
        let error = refused(database.url(), unmigrated()).await;
        assert!(matches!(error, PostgresOpenError::OlderSchema { found: 0, needed: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("verbatim migrate"), "{error}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_an_older_one_brought_up_to_date() {
    let database = postgres_database();
    append(&open(database.url()).await, vec![event(stream(1), 1)]).await;
    let newer =
        [POSTGRES, &[("0002_more", "CREATE TABLE more (n integer); INSERT INTO more VALUES (1)")]].concat();
    let error = PostgresEventLog::open(database.url(), &newer, unmigrated()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, PostgresOpenError::OlderSchema { found: 1, needed: 2, .. }), "{error:?}");
    let log = PostgresEventLog::open(database.url(), &newer, PostgresLogOptions::default()).await.unwrap();
    assert_eq!(log.head().await.unwrap(), 1);
    let error = refused(database.url(), PostgresLogOptions::default()).await;
    assert!(matches!(error, PostgresOpenError::NewerSchema { found: 2, known: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let database = postgres_database();
    let broken = [POSTGRES, &[("0002_broken", "CREATE TABLE half (n integer); SELECT 1 / 0")]].concat();
    let error = PostgresEventLog::open(database.url(), &broken, PostgresLogOptions::default()).await.err();
    assert!(matches!(error, Some(PostgresOpenError::Failed(_))), "{error:?}");
    let error = refused(database.url(), unmigrated()).await;
    assert!(matches!(error, PostgresOpenError::OlderSchema { found: 0, .. }), "{error:?}");
    open(database.url()).await;
}

#[tokio::test]
async fn migrations_out_of_order_are_refused() {
    for names in [["0002_a", "0003_b"], ["0001_a", "0003_b"], ["first", "0002_b"]] {
        let migrations = names.map(|name| (name, "SELECT 1"));
        let opened = PostgresEventLog::open("postgres://nowhere", &migrations, unmigrated()).await;
        assert!(matches!(opened.err(), Some(PostgresOpenError::Migration(_))));
    }
}

#[tokio::test]
async fn events_can_be_read_with_psql_and_not_changed() {
    let database = postgres_database();
    append(&open(database.url()).await, vec![event(stream(0xabc), 1)]).await;
    let mut prompt = PgConnection::connect(database.url()).await.unwrap();
    let found = "SELECT aggregate_id, payload->>'sequence' FROM events";
    let (id, sequence): (String, String) = sqlx::query_as(found).fetch_one(&mut prompt).await.unwrap();
    assert_eq!((id.as_str(), sequence.as_str()), ("00000000-0000-0000-0000-000000000abc", "1"));
    for change in ["UPDATE events SET payload = '{}'", "DELETE FROM events", "TRUNCATE events"] {
        let error = sqlx::raw_sql(change).execute(&mut prompt).await.unwrap_err();
        assert!(error.to_string().contains("never changed or deleted"), "{change}: {error}");
    }
}

/// The tables are those of postgres-es: its own repository loads what we append.
#[tokio::test]
async fn postgres_es_reads_the_log() {
    use cqrs_es::persist::PersistedEventRepository;
    use verbatim_domain::room::Room;
    let database = postgres_database();
    let log = open(database.url()).await;
    let (room, id) = (stream(1), stream(1).aggregate_id.to_string());
    log.append(events(room, 1..=3), vec![snapshot(room, 2, "of two")], at(0)).await.unwrap();
    append(&log, vec![event(stream(2), 1)]).await;
    let pool = PgPoolOptions::new().connect(database.url()).await.unwrap();
    let repository = postgres_es::PostgresEventRepository::new(pool);
    let loaded = repository.get_last_events::<Room>(&id, 1).await.unwrap();
    let ours = log.load(room, 1, 10).await.unwrap();
    assert_eq!(loaded.len(), ours.len());
    for (theirs, ours) in loaded.into_iter().zip(ours) {
        assert_eq!((theirs.aggregate_type, theirs.aggregate_id), (ours.aggregate_type, id.clone()));
        assert_eq!((theirs.sequence as u64, theirs.event_type), (ours.sequence, ours.event_type));
        assert_eq!(
            (theirs.event_version, theirs.payload.to_string()),
            (ours.event_version, {
                let value: serde_json::Value = serde_json::from_str(&ours.payload).unwrap();
                value.to_string()
            })
        );
    }
    let snapshot = repository.get_snapshot::<Room>(&id).await.unwrap().unwrap();
    assert_eq!((snapshot.current_sequence, snapshot.aggregate["state"].as_str()), (2, Some("of two")));
}

#[tokio::test]
async fn without_the_row_that_appends_take_turns_at_nothing_is_appended() {
    let database = postgres_database();
    let log = open(database.url()).await;
    append(&log, vec![event(stream(1), 1)]).await;
    at_the_prompt(database.url(), "DELETE FROM event_log_turn").await.unwrap();
    let outcome = log.append(vec![event(stream(1), 2)], vec![], at(0)).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    at_the_prompt(database.url(), "INSERT INTO event_log_turn VALUES (1)").await.unwrap();
    assert_eq!(append(&log, vec![event(stream(1), 2)]).await, 2);
}

#[tokio::test]
async fn missing_events_are_found() {
    let database = postgres_database();
    let log = open(database.url()).await;
    for first in (1..=6_000).step_by(2_000) {
        append(&log, events(stream(1), first..=first + 1_999)).await;
    }
    let remove = |which: &str| {
        format!("ALTER TABLE events DISABLE TRIGGER USER; DELETE FROM events WHERE position IN ({which})")
    };
    // Far from the end only the deep check finds it, and a stream at the same time.
    at_the_prompt(database.url(), &remove("500, 5001, 5002")).await.unwrap();
    let id = stream(1).aggregate_id;
    let expected =
        [500, 5001].map(|n| [format!("event {n} is missing"), format!("room/{id} lacks event {n}")]);
    let mut expected = expected.concat();
    expected[3] = format!("room/{id} lacks event 5002");
    assert_eq!(deep_check(database.url()).await.unwrap().findings, expected);
    // Near the end each start does.
    let error = refused(database.url(), PostgresLogOptions::default()).await;
    assert!(matches!(error, PostgresOpenError::Corrupted(_)), "{error:?}");
}

#[tokio::test]
async fn connections_are_counted_and_closed_with_the_log() {
    let database = postgres_database();
    let log = open(database.url()).await;
    assert_eq!((log.writers().size, log.writers().in_use), (0, 0));
    join_all((0..100).map(|n| append(&log, vec![event(stream(n), 1)]).boxed())).await;
    join_all((0..100).map(|_| log.head())).await;
    log.ping().await.unwrap();
    for stats in [log.writers(), log.readers()] {
        assert!(stats.size > 0 && stats.size <= 8, "{stats:?}");
        assert_eq!((stats.idle, stats.in_use, stats.calls), (stats.size, 0, 0));
    }
    drop(log);
    // Also the one that listens.
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let gone = || async {
        let mut prompt = PgConnection::connect(database.url()).await.unwrap();
        let left: i64 = sqlx::query_scalar(others).fetch_one(&mut prompt).await.unwrap();
        (left == 0).then_some(())
    };
    until(Duration::from_millis(20), gone).await;
}

#[tokio::test]
async fn what_can_not_be_reached_is_an_error_in_time() {
    let database = postgres_database();
    let began = std::time::Instant::now();
    for url in ["nonsense", "postgres://verbatim@127.0.0.1:1/x", "postgres://nobody.invalid/x"] {
        refused(url, PostgresLogOptions::default()).await;
    }
    let missing = format!("{}_not", database.url());
    assert!(matches!(refused(&missing, unmigrated()).await, PostgresOpenError::Connect(_)));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// It waits for the server, which ends the turn of a node that hangs, and no longer.
#[tokio::test]
async fn who_hangs_in_a_turn_loses_it() {
    let database = postgres_database();
    let (log, other) = (open(database.url()).await, open(database.url()).await);
    let turn = log.turn().await.unwrap().unwrap();
    assert_eq!(append(&other, vec![event(stream(1), 1)]).await, 1);
    let outcome = log.append_in_turn(turn, vec![event(stream(1), 2)], vec![], at(0)).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    let turn = log.turn().await.unwrap().unwrap();
    let appended = log.append_in_turn(turn, vec![event(stream(1), 2)], vec![], at(0)).await;
    assert_eq!(appended.unwrap().first_position, 2);
}
