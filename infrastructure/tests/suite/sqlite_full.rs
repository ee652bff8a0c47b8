//! A full disk: appends are refused, nothing is half-written, and it goes on without a restart once there is room.

use crate::{contract::event_log::*, sqlite_log::open};
use futures_util::future::join_all;
use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use verbatim_application::ports::{AppendError, EventLog, NewEvent};
use verbatim_infrastructure::{SqliteEventLog, SqliteLogOptions, sqlite_log::deep_check};
use verbatim_migrations::event_log::SQLITE;

/// Events of one stream each, about 1 KiB large.
fn large(n: u64) -> Vec<NewEvent> {
    let mut events = events(stream(u128::from(n)), 1..=3);
    for event in &mut events {
        event.payload = format!(r#"{{"body":"{}"}}"#, "x".repeat(1_000));
    }
    events
}

/// Appends in groups until one is refused; gives the events that were acknowledged.
async fn fill(log: &dyn EventLog, first: u64) -> u64 {
    let mut acknowledged = 0;
    for group in (first..).step_by(8).take(2_000) {
        let appends = (group..group + 8).map(|n| log.append(large(n), vec![], at(0)));
        let mut refused = false;
        for outcome in join_all(appends).await {
            match outcome {
                Ok(_) => acknowledged += 3,
                Err(AppendError::Unavailable(_)) => refused = true,
                Err(error) => panic!("{error:?}"),
            }
        }
        if refused {
            return acknowledged;
        }
    }
    panic!("the disk never fills");
}

/// Full, with room, full again, with room: what is acknowledged is in, and nothing else.
async fn fill_twice(log: &dyn EventLog, path: &Path, room: impl Fn(bool)) {
    let mut expected = 0;
    for round in 0..2_u64 {
        expected += fill(log, round * 1_000_000).await;
        assert!(expected > 0);
        // The rest of the disk may have room for a few small ones.
        for n in (500_000 + round * 1_000_000..).take(100) {
            match log.append(large(n), vec![], at(0)).await {
                Ok(_) => expected += 3,
                Err(AppendError::Unavailable(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(log.head().await.unwrap(), expected, "reading goes on");
        room(true);
        append(log, vec![event(stream(7_000_000), round + 1)]).await;
        expected += 1;
        let stored = all(log).await;
        assert_gapless(&stored);
        assert_eq!(stored.len() as u64, expected);
        room(false);
    }
    let report = deep_check(path).unwrap();
    assert_eq!((report.events, report.findings), (expected, vec![]));
}

#[tokio::test]
async fn a_full_file_takes_nothing_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let limit = Arc::new(AtomicU32::new(200));
    let options = SqliteLogOptions { page_limit: Some(Arc::clone(&limit)), ..SqliteLogOptions::default() };
    let log = SqliteEventLog::open(&path, SQLITE, options).unwrap();
    let room = |more: bool| limit.store(if more { 10_000 } else { 500 }, Ordering::Relaxed);
    fill_twice(&log, &path, room).await;
    drop(log);
    assert_gapless(&all(&open(&path)).await);
}

/// Set in the child process, which runs with a limit on the size of files.
const CHILD: &str = "VERBATIM_TEST_FILE_LIMIT";

/// Here the write itself fails, in the middle of a COMMIT, as it does on a full disk. The limit belongs to a process, so
/// the test runs itself again in a child.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_write_that_fails_in_the_commit_leaves_nothing() {
    if std::env::var_os(CHILD).is_none() {
        let name = "sqlite_full::a_write_that_fails_in_the_commit_leaves_nothing";
        let child = Command::new("prlimit")
            .args(["--fsize=1048576:unlimited", "--", "sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output();
        match child {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => println!("skipped, there is no prlimit here: {error}"),
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let room = |more: bool| {
        let limit = if more { "unlimited" } else { "2097152" };
        let (pid, limit) = (std::process::id().to_string(), format!("--fsize={limit}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    let log = open(&path);
    fill_twice(&log, &path, room).await;
    room(true);
    drop(log);
    assert_gapless(&all(&open(&path)).await);
}
