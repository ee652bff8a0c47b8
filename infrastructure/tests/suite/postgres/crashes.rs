//! Servers and connections that die in the middle of appends: what an append says happened is what happened, and the same
//! handle goes on by itself.

use super::{
    fate::{Fate, LIMIT, PAUSE, assert_honest, fate},
    log::{at_the_prompt, open},
    private_server, proxied, until,
};
use crate::contract::event_log::*;
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
use verbatim_infrastructure::{PostgresEventLog, postgres::deep_check};
use verbatim_servers::postgres_database;

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
