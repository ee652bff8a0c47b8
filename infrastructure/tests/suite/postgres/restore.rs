//! A log that was dumped and restored goes on where it was.

use super::{log::open, private_server};
use crate::contract::event_log::*;
use std::{
    io::Write,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use verbatim_application::ports::EventLog;
use verbatim_infrastructure::{PostgresEventLog, PostgresLogOptions, postgres::deep_check};
use verbatim_migrations::event_log::POSTGRES;
use verbatim_servers::Postgres;

fn dump(server: &Postgres) -> Vec<u8> {
    let dumped = server.tool("pg_dump").args(["-d", "verbatim"]).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    dumped.stdout
}

/// Restores into a new database; gives its URL.
fn restore(server: &Postgres, dump: &[u8], name: &str) -> String {
    server.create_database(name);
    let mut psql = server.tool("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", name]);
    let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(dump).unwrap();
    assert!(psql.wait().unwrap().success());
    server.url(name)
}

/// Opens a restored log, as a node that may not migrate.
async fn reopen(url: &str) -> PostgresEventLog {
    let options = PostgresLogOptions { migrate: false, ..PostgresLogOptions::default() };
    PostgresEventLog::open(url, POSTGRES, options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_log_goes_on_without_gap_or_repeat() {
    let (server, url) = private_server();
    let log = open(&url).await;
    append(&log, events(stream(1), 1..=50)).await;
    let last = vec![keyed(stream(2), 1, "key"), keyed(stream(1), 51, r"Grüße \ 👩‍👩‍👧")];
    log.append(last, vec![snapshot(stream(1), 51, "s")], at(1)).await.unwrap();
    conflict(&log, vec![event(stream(2), 1)]).await;
    let restored = restore(&server, &dump(&server), "restored");
    let restored_log = reopen(&restored).await;
    assert_eq!(all(&restored_log).await, all(&log).await);
    assert_eq!(
        restored_log.load_snapshot(stream(1)).await.unwrap(),
        log.load_snapshot(stream(1)).await.unwrap()
    );
    conflict(&restored_log, vec![event(stream(1), 51)]).await;
    conflict(&restored_log, vec![keyed(stream(3), 1, "key")]).await;
    assert_eq!(append(&restored_log, vec![event(stream(1), 52)]).await, 53);
    assert_gapless(&all(&restored_log).await);
    assert_eq!(deep_check(&restored).await.unwrap().findings, [""; 0]);
    // What protects events is restored too.
    assert!(super::log::at_the_prompt(&restored, "DELETE FROM events").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_taken_while_others_append_is_a_whole_log_up_to_some_position() {
    let (server, url) = private_server();
    let log = Arc::new(open(&url).await);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
            tokio::spawn(async move {
                for sequence in (1..).step_by(3) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    append(&*log, events(stream(writer), sequence..=sequence + 2)).await;
                }
            })
        })
        .collect();
    let mut hint = log.head_hint();
    let mut heads = Vec::new();
    for round in 0..3 {
        let before = log.head().await.unwrap();
        hint.wait_for(|head| *head >= before + 300).await.unwrap();
        let taken = tokio::task::block_in_place(|| dump(&server));
        let restored = tokio::task::block_in_place(|| restore(&server, &taken, &format!("restored_{round}")));
        let restored_log = reopen(&restored).await;
        let stored = all(&restored_log).await;
        let head = stored.len() as u64;
        assert!(head >= before + 300, "what was there before the dump began is in it");
        assert_eq!(stored, all(&*log).await[..stored.len()]);
        assert_eq!(head % 3, 0, "no append was torn");
        assert_eq!(append(&restored_log, vec![event(stream(77), 1)]).await, head + 1);
        heads.push(head);
    }
    let going_on = log.head().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), hint.wait_for(|head| *head > going_on))
        .await
        .unwrap()
        .unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    println!("heads of the dumps: {heads:?}, of the log in the end: {}", log.head().await.unwrap());
}
