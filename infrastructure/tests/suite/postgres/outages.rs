//! Lines that are cut and servers that hang: every call comes back in time, and all works again afterwards.

use super::{
    fate::{Fate, LIMIT, assert_honest, fate},
    log::open,
    private_server, proxied,
};
use crate::contract::event_log::*;
use futures_util::future::join_all;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use verbatim_application::ports::EventLog;
use verbatim_infrastructure::PostgresEventLog;
use verbatim_servers::postgres_database;

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
