//! [`SqliteEventLog`] keeps the contract, and what a file promises beyond it.

use crate::contract::event_log::{self, *};
use futures_util::FutureExt;
use std::{path::Path, sync::Arc};
use verbatim_application::ports::EventLog;
use verbatim_infrastructure::{SqliteEventLog, SqliteLogOptions, sqlite_log::deep_check};
use verbatim_migrations::event_log::SQLITE;

pub fn open(path: &Path) -> SqliteEventLog {
    SqliteEventLog::open(path, SQLITE, SqliteLogOptions::default()).expect("open")
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    Fixture {
        open: Box::new(move || {
            let log: Arc<dyn EventLog> = Arc::new(open(&path));
            async move { log }.boxed()
        }),
        _keep: Box::new(folder),
    }
}

event_log::event_log_contract!(fixture());

#[tokio::test]
async fn everything_is_there_after_closing_and_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a log?#%.db");
    let before = {
        let log = open(&path);
        log.append(vec![keyed(stream(1), 1, "k")], vec![snapshot(stream(1), 1, "s")], at(3)).await.unwrap();
        all(&log).await
    };
    assert!(!folder.path().join("a log?#%.db-wal").exists(), "the last one out moves the WAL into the file");
    let log = open(&path);
    assert_eq!(*log.head_hint().borrow(), 1);
    assert_eq!(all(&log).await, before);
    assert_eq!(log.load_snapshot(stream(1)).await.unwrap().unwrap().payload, snapshot_payload("s"));
    conflict(&log, vec![event(stream(1), 1)]).await;
    assert_eq!(append(&log, vec![event(stream(1), 2)]).await, 2);
    let report = deep_check(&path).unwrap();
    assert_eq!((report.events, report.head, report.findings), (2, 2, vec![]));
}

#[tokio::test]
async fn two_first_starts_at_once_share_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let starts = (0..8).map(|_| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || open(&path))
    });
    let logs = futures_util::future::join_all(starts).await;
    for (sequence, log) in (1..).zip(logs) {
        append(&log.unwrap(), vec![event(stream(1), sequence)]).await;
    }
    assert_eq!(open(&path).head().await.unwrap(), 8);
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "nothing is left of the starts");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("events.db"));
    append(&log, vec![event(stream(1), 1)]).await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn events_can_be_read_with_the_sqlite_prompt_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    append(&open(&path), vec![event(stream(0xabc), 1)]).await;
    let prompt = rusqlite::Connection::open(&path).unwrap();
    let id: String = prompt.query_row("SELECT aggregate_id FROM events", (), |row| row.get(0)).unwrap();
    assert_eq!(id, "00000000-0000-0000-0000-000000000abc");
    assert!(prompt.execute("UPDATE events SET payload = '{}'", ()).is_err());
    assert!(prompt.execute("DELETE FROM events", ()).is_err());
}
