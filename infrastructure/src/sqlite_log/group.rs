//! One transaction for several appends.

use super::{rows, writer::Job};
use crate::sqlite::Shared;
use rusqlite::{CachedStatement, Connection, ErrorCode, ffi, params};
use uuid::{Uuid, fmt::Hyphenated};
use verbatim_application::ports::{AppendError, Appended};

/// What became of the transaction as a whole.
pub(super) enum Outcome {
    /// Each append has an answer of its own; those that are `Ok` are durable.
    Done(Vec<Result<Appended, AppendError>>),
    /// Nothing of any append is in the log.
    Nothing(Shared),
    /// It may or may not be in.
    Unknown(Shared),
}

/// Writes all `jobs` in one transaction. Returns the new head beside the outcome, if there is one.
pub(super) fn write(log: &Connection, jobs: &[Job]) -> (Outcome, Option<u64>) {
    let before = match begin(log) {
        Ok(head) => head,
        Err(error) => return (nothing(log, "beginning a transaction", error), None),
    };
    let (answers, head) = match insert_all(log, jobs, before) {
        Ok(done) => done,
        Err(error) => return (nothing(log, "writing events", error), None),
    };
    if answers.iter().all(Result::is_err) {
        return match log.execute_batch("ROLLBACK") {
            Ok(()) => (Outcome::Done(answers), None),
            Err(error) => (nothing(log, "rolling back", error), None),
        };
    }
    match cached(log, "COMMIT").and_then(|mut commit| commit.execute(())) {
        Ok(_) => (Outcome::Done(answers), Some(head)),
        Err(error) => (after_failed_commit(log, before, error), None),
    }
}

fn cached<'a>(log: &'a Connection, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
    log.prepare_cached(sql)
}

/// Begins, and reads the head: another process may have moved it.
fn begin(log: &Connection) -> rusqlite::Result<u64> {
    cached(log, "BEGIN IMMEDIATE")?.execute(())?;
    head(log)
}

fn head(log: &Connection) -> rusqlite::Result<u64> {
    cached(log, rows::HEAD)?.query_row((), |row| rows::number(row, 0))
}

fn nothing(log: &Connection, doing: &'static str, error: rusqlite::Error) -> Outcome {
    // After some errors SQLite has rolled back by itself, and then this fails, which is fine.
    let _ = log.execute_batch("ROLLBACK");
    Outcome::Nothing(Shared::new(doing, error))
}

/// The answers, if the transaction commits, and the head then. An error means that the transaction is lost.
type Answers = (Vec<Result<Appended, AppendError>>, u64);

fn insert_all(log: &Connection, jobs: &[Job], before: u64) -> rusqlite::Result<Answers> {
    let mut insert = cached(log, rows::INSERT)?;
    let mut answers = Vec::with_capacity(jobs.len());
    let mut head = before;
    // Alone in its transaction, an append needs no savepoint: the transaction is one.
    let alone = jobs.len() == 1;
    for job in jobs {
        if !alone {
            cached(log, "SAVEPOINT append")?.execute(())?;
        }
        match insert_one(log, &mut insert, job, head) {
            Ok(()) => {
                answers.push(Ok(Appended { first_position: head + 1 }));
                head += job.events.len() as u64;
            }
            Err(error) if only_this_append(log, &error) => {
                if !alone {
                    cached(log, "ROLLBACK TO append")?.execute(())?;
                }
                answers.push(Err(refusal(error)));
            }
            Err(error) => return Err(error),
        }
        if !alone {
            cached(log, "RELEASE append")?.execute(())?;
        }
    }
    Ok((answers, head))
}

fn insert_one(
    log: &Connection,
    insert: &mut CachedStatement<'_>,
    job: &Job,
    head: u64,
) -> rusqlite::Result<()> {
    let recorded_at = job.recorded_at.timestamp_micros();
    for (position, event) in (head + 1..).zip(&job.events) {
        let mut id = [0; Hyphenated::LENGTH];
        insert.execute(params![
            rows::clamp(position),
            event.stream.aggregate_type,
            text(event.stream.aggregate_id, &mut id),
            rows::clamp(event.sequence),
            event.event_type,
            event.event_version,
            event.payload,
            event.metadata,
            recorded_at,
            event.idempotency_key,
        ])?;
    }
    for snapshot in &job.snapshots {
        let mut id = [0; Hyphenated::LENGTH];
        let id = text(snapshot.stream.aggregate_id, &mut id);
        let (kind, last) = (snapshot.stream.aggregate_type, rows::clamp(snapshot.sequence));
        cached(log, rows::INSERT_SNAPSHOT)?.execute(params![kind, id, last, snapshot.payload])?;
        cached(log, rows::DROP_OLDER_SNAPSHOTS)?.execute(params![kind, id, last])?;
    }
    Ok(())
}

fn text(id: Uuid, buffer: &mut [u8; Hyphenated::LENGTH]) -> &str {
    id.as_hyphenated().encode_lower(buffer)
}

/// Whether an error is about the values of one append, and the transaction goes on for the others.
fn only_this_append(log: &Connection, error: &rusqlite::Error) -> bool {
    let about_values = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    );
    about_values && !log.is_autocommit()
}

fn refusal(error: rusqlite::Error) -> AppendError {
    let taken =
        [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY, ffi::SQLITE_CONSTRAINT_ROWID];
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) if taken.contains(&failure.extended_code) => {
            AppendError::Conflict
        }
        _ => AppendError::Unavailable(Box::new(error)),
    }
}

/// Finds out what a failed COMMIT has left.
///
/// SQLite writes the pages to the WAL file, the last one marked as a commit, syncs, and only then tells its readers. If
/// writing failed, there is no mark, and nothing is in. If the sync failed, there is a mark, and although SQLite has
/// rolled back, a recovery after a crash would find it. Then the next commit overwrites it, so we make one at once.
fn after_failed_commit(log: &Connection, before: u64, error: rusqlite::Error) -> Outcome {
    let _ = log.execute_batch("ROLLBACK");
    let no_mark = matches!(&error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.code == ErrorCode::DiskFull || failure.extended_code == ffi::SQLITE_IOERR_WRITE);
    let error = Shared::new("committing events", error);
    if no_mark || seal(log, before).unwrap_or(false) {
        Outcome::Nothing(error)
    } else {
        Outcome::Unknown(error)
    }
}

/// Commits something else; `true` if nothing was added to the log meanwhile.
fn seal(log: &Connection, before: u64) -> rusqlite::Result<bool> {
    let unmoved = begin(log)? == before;
    log.execute_batch("UPDATE commit_seal SET count = count + 1; COMMIT")?;
    Ok(unmoved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite_log::{SqliteEventLog, SqliteLogOptions, writer};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use verbatim_application::ports::{NewEvent, StreamId};

    fn job() -> Job {
        let event = NewEvent {
            stream: StreamId { aggregate_type: "room", aggregate_id: Uuid::nil() },
            sequence: 1,
            event_type: "MessageSent",
            event_version: "1",
            payload: "{}".to_owned(),
            metadata: "{}".to_owned(),
            idempotency_key: None,
        };
        let (reply, _) = tokio::sync::oneshot::channel();
        Job {
            events: vec![event],
            snapshots: vec![],
            recorded_at: chrono::DateTime::UNIX_EPOCH,
            reply,
            claim: Arc::default(),
        }
    }

    /// Writes while the next `failures` commits fail.
    fn write_with_failing_commits(failures: u32) -> (Outcome, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let migrations = verbatim_migrations::event_log::SQLITE;
        drop(SqliteEventLog::open(&path, migrations, SqliteLogOptions::default()).unwrap());
        let log = writer::open(&path).unwrap();
        let left = AtomicU32::new(failures);
        let fail = move || {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        log.commit_hook(Some(fail));
        let (outcome, _) = write(&log, &[job()]);
        assert!(log.is_autocommit());
        (outcome, head(&log).unwrap())
    }

    #[test]
    fn a_commit_that_succeeds_is_done() {
        let (outcome, head) = write_with_failing_commits(0);
        assert!(matches!(outcome, Outcome::Done(answers) if answers[0].is_ok()));
        assert_eq!(head, 1);
    }

    #[test]
    fn a_failed_commit_is_nothing_once_the_next_one_has_covered_it() {
        let (outcome, head) = write_with_failing_commits(1);
        assert!(matches!(outcome, Outcome::Nothing(_)));
        assert_eq!(head, 0);
    }

    #[test]
    fn a_failed_commit_that_can_not_be_covered_is_unknown() {
        let (outcome, head) = write_with_failing_commits(2);
        assert!(matches!(outcome, Outcome::Unknown(_)));
        assert_eq!(head, 0);
    }
}
