//! Files that are not sound are refused, and stay as they are.

use crate::{contract::event_log::*, sqlite_log::open};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fs, path::Path};
use verbatim_application::ports::EventLog;
use verbatim_infrastructure::{Problem, SqliteEventLog, SqliteLogOptions, sqlite_log::deep_check};
use verbatim_migrations::event_log::SQLITE;

/// Name and hash of each file of a folder.
fn hashes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, Sha256::digest(fs::read(file.path()).unwrap()).to_vec())
        })
        .collect()
}

/// A folder with a closed log of 2,000 events.
async fn closed_log() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    append(&open(&folder.path().join("events.db")), events(stream(1), 1..=2_000)).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    folder
}

/// A folder with what a `kill -9` leaves: some events in the file, the last ones in the WAL only.
async fn killed_log() -> tempfile::TempDir {
    let closed = closed_log().await;
    let log = open(&closed.path().join("events.db"));
    for sequence in 2_001..=2_040 {
        append(&log, vec![event(stream(1), sequence)]).await;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        fs::copy(closed.path().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn try_open(folder: &Path) -> Result<SqliteEventLog, verbatim_infrastructure::OpenError> {
    SqliteEventLog::open(folder.join("events.db"), SQLITE, SqliteLogOptions::default())
}

/// Opening must fail with a problem like this, and leave every byte as it was.
#[track_caller]
fn refused(folder: &Path, like: impl FnOnce(&Problem) -> bool) {
    let before = hashes(folder);
    let error = try_open(folder).map(|_| "opened").unwrap_err();
    assert!(like(&error.problem), "{error:?}");
    assert_eq!(hashes(folder), before, "{error}");
    assert!(error.to_string().contains("events.db"));
}

fn overwrite(path: &Path, at: usize, with: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, to: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(to).unwrap();
}

#[tokio::test]
async fn a_log_that_is_cut_short_is_refused() {
    let folder = closed_log().await;
    let file = folder.path().join("events.db");
    let whole = fs::read(&file).unwrap();
    let size = whole.len() as u64;
    for left in [size - 1, size - 4096, size / 2 / 4096 * 4096, size / 3, 4096, 100] {
        cut(&file, left);
        refused(folder.path(), |p| matches!(p, Problem::Truncated { .. }));
        fs::write(&file, &whole).unwrap();
    }
    cut(&file, 60);
    refused(folder.path(), |p| matches!(p, Problem::Truncated { .. }));
    cut(&file, 0);
    refused(folder.path(), |p| matches!(p, Problem::Empty));
}

#[tokio::test]
async fn what_is_not_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    fs::write(&file, "these are notes, and no database\n".repeat(200)).unwrap();
    refused(folder.path(), |p| matches!(p, Problem::NotSqlite));
    fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE recipes (title TEXT)").unwrap();
    refused(folder.path(), |p| matches!(p, Problem::Foreign(0)));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(try_open(folder.path()).is_err());
}

#[tokio::test]
async fn a_folder_that_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(try_open(&folder.path().join("nowhere")).is_err());
}

#[tokio::test]
async fn damage_is_refused_wherever_it_is() {
    let folder = closed_log().await;
    let file = folder.path().join("events.db");
    let whole = fs::read(&file).unwrap();
    // The header; then pages from the second to the last.
    overwrite(&file, 0, &[0xa5; 16]);
    refused(folder.path(), |p| matches!(p, Problem::NotSqlite));
    let pages = whole.len() / 4096;
    for page in [1, 2, 3, pages / 2, pages - 2, pages - 1] {
        fs::write(&file, &whole).unwrap();
        overwrite(&file, page * 4096, &[0xa5; 4096]);
        refused(folder.path(), |p| matches!(p, Problem::Corrupted(_)));
    }
    fs::write(&file, &whole).unwrap();
    assert!(try_open(folder.path()).is_ok());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = closed_log().await;
    let newer = [SQLITE, &[("0002_more", "CREATE TABLE more (n INTEGER) STRICT")]].concat();
    let path = folder.path().join("events.db");
    let log = SqliteEventLog::open(&path, &newer, SqliteLogOptions::default()).unwrap();
    assert_eq!(log.head().await.unwrap(), 2_000, "an older schema is brought up to date");
    drop(log);
    refused(folder.path(), |p| matches!(p, Problem::NewerSchema { found: 2, known: 1 }));
}

#[tokio::test]
async fn migrations_out_of_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    for names in [["0002_a", "0003_b"], ["0001_a", "0003_b"], ["first", "0002_b"]] {
        let migrations = names.map(|name| (name, "SELECT 1"));
        let error =
            SqliteEventLog::open(&path, &migrations, SqliteLogOptions::default()).map(|_| ()).unwrap_err();
        assert!(matches!(error.problem, Problem::Migration(_)), "{error:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_killed_log_is_recovered() {
    let folder = killed_log().await;
    let log = try_open(folder.path()).unwrap();
    assert_eq!(log.head().await.unwrap(), 2_040);
    assert_gapless(&all(&log).await);
}

#[tokio::test]
async fn a_killed_log_that_lost_its_end_is_refused() {
    let folder = killed_log().await;
    let (file, wal) = (folder.path().join("events.db"), folder.path().join("events.db-wal"));
    let (whole, whole_wal) = (fs::read(&file).unwrap(), fs::read(&wal).unwrap());
    cut(&file, whole.len() as u64 / 2 / 4096 * 4096);
    refused(folder.path(), |p| matches!(p, Problem::Truncated { .. }));
    fs::remove_file(&file).unwrap();
    refused(folder.path(), |p| matches!(p, Problem::Gone));
    fs::write(&file, &whole).unwrap();
    // Acknowledged events in the WAL are gone.
    cut(&wal, whole_wal.len() as u64 - 1);
    refused(folder.path(), |p| matches!(p, Problem::WalTruncated { .. }));
    // A damaged page that only SQLite notices.
    fs::write(&wal, &whole_wal).unwrap();
    overwrite(&file, 4096, &[0xa5; 4096]);
    refused(folder.path(), |p| matches!(p, Problem::Corrupted(_)));
    fs::write(&file, &whole).unwrap();
    fs::write(&wal, &whole_wal).unwrap();
    overwrite(&wal, whole_wal.len() / 2, &[0xa5; 64]);
    refused(folder.path(), |p| matches!(p, Problem::WalTruncated { .. }));
}

#[tokio::test]
async fn the_deep_check_finds_what_the_quick_one_does_not() {
    let folder = closed_log().await;
    let path = folder.path().join("events.db");
    assert_eq!(deep_check(&path).unwrap().findings, [""; 0]);
    let prompt = rusqlite::Connection::open(&path).unwrap();
    prompt
        .execute_batch(
            "DROP TRIGGER events_are_never_deleted; DROP TRIGGER events_are_never_changed;
        DELETE FROM events WHERE position IN (500, 501);
        UPDATE events SET payload = 'not JSON' WHERE position = 700;",
        )
        .unwrap();
    drop(prompt);
    let findings = deep_check(&path).unwrap().findings.join("\n");
    for what in ["event 500 is missing", "lacks event 500", "event 700 is not JSON"] {
        assert!(findings.contains(what), "{findings}");
    }
    // A missing event at the end is noticed at each start.
    let prompt = rusqlite::Connection::open(&path).unwrap();
    prompt.execute("DELETE FROM events WHERE position = 1990", ()).unwrap();
    drop(prompt);
    refused(folder.path(), |p| matches!(p, Problem::Corrupted(_)));
}
