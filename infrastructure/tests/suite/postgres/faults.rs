//! What an append says happened is what happened, whatever becomes of the server and the line; every call comes back in
//! time; and it goes on by itself.

use super::{
    log::{at_the_prompt, open},
    private_server, proxied, until,
};
use crate::contract::event_log::*;
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use verbatim_application::ports::{AppendError, EventLog};
use verbatim_infrastructure::{
    PostgresEventLog,
    postgres::{ANSWER_LIMIT, READY_LIMIT, deep_check},
};
use verbatim_servers::postgres_database;

/// No call takes longer: waiting for a connection, making the statement known, its answer; and a slow machine.
const LIMIT: Duration = READY_LIMIT.saturating_add(ANSWER_LIMIT).saturating_add(Duration::from_secs(2));
/// Between two tries while something is away.
const PAUSE: Duration = Duration::from_millis(50);

/// What an append of three events came to, by its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// With its first position.
    Confirmed(u64),
    Refused,
    Unknown,
}

fn fate(outcome: &Result<verbatim_application::ports::Appended, AppendError>) -> Fate {
    match outcome {
        Ok(appended) => Fate::Confirmed(appended.first_position),
        Err(AppendError::Conflict | AppendError::Unavailable(_)) => Fate::Refused,
        Err(AppendError::Unknown(_)) => Fate::Unknown,
    }
}

/// Appends of eight writers, each to a stream of its own and, every fourth, also to one that all fight for, until told to
/// stop. Gives what became of each.
async fn write(
    log: Arc<PostgresEventLog>,
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicU64>,
) -> HashMap<u128, Fate> {
    let mut writers = JoinSet::new();
    for writer in 0..8_u128 {
        let (log, stop, confirmed) = (Arc::clone(&log), Arc::clone(&stop), Arc::clone(&confirmed));
        writers.spawn(async move {
            let (mut fates, mut fought) = (HashMap::new(), 0);
            for n in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let own = 1_000_000 * (writer + 1) + n;
                let mut batch = events(stream(own), 1..=3);
                batch[2].idempotency_key = Some(own.to_string());
                let fights = n % 4 == 0;
                if fights {
                    // Whoever was first this time; if that can't be found out, it is a conflict.
                    let newest = log.load(stream(1), fought, 5_000).await.ok();
                    fought = newest.and_then(|events| Some(events.last()?.sequence)).unwrap_or(fought);
                    batch.push(event(stream(1), fought + 1));
                }
                let outcome = log.append(batch, vec![snapshot(stream(own), 3, "three")], at(0)).await;
                fates.insert(own, fate(&outcome));
                match outcome {
                    Ok(_) => _ = confirmed.fetch_add(1, Ordering::Relaxed),
                    Err(AppendError::Conflict) => {}
                    // A loop without a pause would only make the machine hot.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
            fates
        });
    }
    writers.join_all().await.into_iter().flatten().collect()
}

/// The log is gapless, holds every confirmed append where it was said to be, and none that was refused; an unknown one is
/// there as a whole or not at all.
async fn assert_honest(log: &PostgresEventLog, fates: &HashMap<u128, Fate>) {
    let stored = all(log).await;
    assert_gapless(&stored);
    let mut found: HashMap<u128, Vec<u64>> = HashMap::new();
    for event in stored.iter().filter(|event| event.aggregate_id != stream(1).aggregate_id) {
        found.entry(event.aggregate_id.as_u128()).or_default().push(event.position);
    }
    let mut counts = [0; 3];
    for (own, fate) in fates {
        let positions = found.remove(own).unwrap_or_default();
        let snapshot = log.load_snapshot(stream(*own)).await.unwrap();
        assert_eq!(snapshot.is_some(), !positions.is_empty(), "snapshots share the fate of their events");
        match fate {
            Fate::Confirmed(first) => assert_eq!(positions, [*first, first + 1, first + 2]),
            Fate::Refused => assert!(positions.is_empty(), "refused, and there"),
            Fate::Unknown => assert!([0, 3].contains(&positions.len())),
        }
        counts[match fate {
            Fate::Confirmed(_) => 0,
            Fate::Refused => 1,
            Fate::Unknown => 2,
        }] += 1;
    }
    assert!(found.is_empty(), "nobody appended these: {found:?}");
    println!("appends confirmed, refused, unknown: {counts:?}");
}

async fn reached(confirmed: &AtomicU64, count: u64) {
    until(Duration::from_millis(5), || async { (confirmed.load(Ordering::Relaxed) >= count).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_middle_of_appends_loses_nothing_that_was_confirmed() {
    let (mut server, url) = private_server();
    let log = Arc::new(open(&url).await);
    let (stop, confirmed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = tokio::spawn(write(Arc::clone(&log), Arc::clone(&stop), Arc::clone(&confirmed)));
    for _ in 0..4 {
        // With the very same handle, and after a while of calm work each time.
        reached(&confirmed, confirmed.load(Ordering::Relaxed) + 100).await;
        server.kill_9();
        server.start_again();
        let back = Instant::now();
        reached(&confirmed, confirmed.load(Ordering::Relaxed) + 1).await;
        println!("appends go on {:.2?} after the server is back", back.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let fates = writing.await.unwrap();
    assert_honest(&log, &fates).await;
    assert_eq!(deep_check(&url).await.unwrap().findings, [""; 0]);
    let head = log.head().await.unwrap();
    let mut hint = log.head_hint();
    tokio::time::timeout(LIMIT, hint.wait_for(|hint| *hint >= head)).await.expect("hinted").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_in_the_middle_of_appends_are_told_honestly() {
    let database = postgres_database();
    let (proxy, url) = proxied(database.url());
    let log = Arc::new(open(&url).await);
    let (stop, confirmed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = tokio::spawn(write(Arc::clone(&log), Arc::clone(&stop), Arc::clone(&confirmed)));
    for round in 0..20 {
        reached(&confirmed, confirmed.load(Ordering::Relaxed) + 20).await;
        if round % 2 == 0 {
            proxy.sever();
        } else {
            let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            at_the_prompt(database.url(), sessions).await.unwrap();
        }
    }
    reached(&confirmed, confirmed.load(Ordering::Relaxed) + 20).await;
    stop.store(true, Ordering::Relaxed);
    let fates = writing.await.unwrap();
    assert_honest(&log, &fates).await;
}

/// Every call of the port at once, some several times; gives how many worked, after asserting that all came back in time.
async fn call_everything(log: &PostgresEventLog, round: u128) -> (usize, HashMap<u128, Fate>) {
    let began = Instant::now();
    let appends = join_all((0..20).map(|n| async move {
        let own = 1_000 * round + n;
        (own, fate(&log.append(events(stream(own), 1..=3), vec![snapshot(stream(own), 3, "s")], at(0)).await))
    }));
    let reads = join_all((0..20).map(|n| async move {
        match n % 6 {
            0 => log.read(0, 10).await.is_ok(),
            1 => log.load(stream(1), 0, 10).await.is_ok(),
            2 => log.load_snapshot(stream(1)).await.is_ok(),
            3 => log.find_by_idempotency_keys(vec!["a".to_owned()]).await.is_ok(),
            4 => log.head().await.is_ok(),
            _ => log.ping().await.is_ok(),
        }
    }));
    let (appends, reads) = futures_util::future::join(appends, reads).await;
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    println!("40 calls came back within {:.2?}", began.elapsed());
    let worked = reads.into_iter().filter(|fine| *fine).count();
    let confirmed = appends.iter().filter(|(_, fate)| matches!(fate, Fate::Confirmed(_))).count();
    (worked + confirmed, appends.into_iter().collect())
}

/// Waits until everything works again; gives what became of the appends until then.
async fn recover(log: &PostgresEventLog, first_round: u128) -> HashMap<u128, Fate> {
    let (began, mut fates) = (Instant::now(), HashMap::new());
    for round in first_round.. {
        let (worked, more) = call_everything(log, round).await;
        fates.extend(more);
        if worked == 40 {
            println!("everything works {:.2?} after the end of the trouble", began.elapsed());
            return fates;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never recovers");
    }
    fates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_holds_nobody_up_and_heals() {
    let database = postgres_database();
    let (proxy, url) = proxied(database.url());
    let (log, elsewhere) = (open(&url).await, open(database.url()).await);
    let mut fates = recover(&log, 1).await;
    for round in 0..2 {
        proxy.cut();
        let (worked, more) = call_everything(&log, 100 + 1_000 * round).await;
        assert_eq!(worked, 0, "nothing passes");
        fates.extend(more);
        // What others append meanwhile is noticed afterwards.
        append(&elsewhere, vec![event(stream(2 + round), 1)]).await;
        proxy.heal();
        fates.extend(recover(&log, 200 + 1_000 * round).await);
        let head = elsewhere.head().await.unwrap();
        let mut hint = log.head_hint();
        tokio::time::timeout(LIMIT, hint.wait_for(|hint| *hint >= head)).await.expect("hinted").unwrap();
    }
    for round in 0..2 {
        fates.insert(2 + round, Fate::Unknown);
    }
    let stored = all(&elsewhere).await;
    assert_gapless(&stored);
    for (own, fate) in &fates {
        let there = stored.iter().filter(|event| event.aggregate_id.as_u128() == *own).count();
        match fate {
            Fate::Confirmed(_) => assert_eq!(there, 3),
            Fate::Refused => assert_eq!(there, 0, "refused, and there"),
            Fate::Unknown => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_holds_nobody_up() {
    let (server, url) = private_server();
    let log = open(&url).await;
    let mut fates = recover(&log, 1).await;
    server.freeze();
    let (worked, more) = call_everything(&log, 100).await;
    assert_eq!(worked, 0, "nobody answers");
    fates.extend(more);
    server.thaw();
    fates.extend(recover(&log, 200).await);
    assert_honest(&log, &fates).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_makes_appends_unavailable_and_leaves_reads_alone() {
    let database = postgres_database();
    let log = open(database.url()).await;
    append(&log, vec![event(stream(1), 1)]).await;
    for lock in ["SELECT * FROM event_log_head FOR UPDATE", "LOCK TABLE events IN SHARE MODE"] {
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
