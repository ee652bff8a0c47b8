//! Whether what is in the log makes sense.

use super::rows;
use rusqlite::{Connection, params};
use std::path::Path;
use verbatim_application::ports::RecordedEvent;

use crate::sqlite::{OpenError, look};

/// How many of the last events are read at each start.
const TAIL: u64 = 1_000;
/// How many events spread over the whole log are read at each start.
const SAMPLES: u64 = 64;
/// How many findings a deep check reports at most.
pub(crate) const FINDINGS_MAX: usize = 100;

/// The quick look at each start, in a time that does not grow with the log: tables and columns are there; the last
/// [`TAIL`] positions have no gap and can be read; and so can [`SAMPLES`] events spread over the log, each of them also
/// through the index of its stream.
pub(super) fn quick(log: &Connection) -> rusqlite::Result<Option<String>> {
    let tables = [rows::BY_POSITION, rows::BY_STREAM, rows::BY_KEY, rows::SNAPSHOT];
    if let Some(error) = tables.iter().find_map(|sql| log.prepare(sql).err()) {
        return damage(error);
    }
    match quick_events(log) {
        Ok(finding) => Ok(finding),
        Err(error) => damage(error),
    }
}

/// Tells errors that only damage explains from others.
fn damage(error: rusqlite::Error) -> rusqlite::Result<Option<String>> {
    use rusqlite::{Error, ErrorCode};
    match error {
        Error::SqliteFailure(failure, _) if failure.code != ErrorCode::Unknown => Err(error),
        other => Ok(Some(other.to_string())),
    }
}

fn quick_events(log: &Connection) -> rusqlite::Result<Option<String>> {
    let head = log.query_row(rows::HEAD, (), |row| rows::number(row, 0))?;
    let after = head.saturating_sub(TAIL);
    let mut expected = after;
    let mut tail = log.prepare(rows::BY_POSITION)?;
    let mut found = tail.query(params![rows::clamp(after), rows::clamp(TAIL)])?;
    while let Some(row) = found.next()? {
        expected += 1;
        let event = rows::event(row)?;
        if event.position != expected {
            return Ok(Some(format!("event {expected} is missing")));
        }
    }
    if expected != head {
        return Ok(Some(format!("event {head} is missing")));
    }
    let mut by_position = log.prepare(rows::BY_POSITION)?;
    let mut by_stream = log.prepare(rows::BY_STREAM)?;
    for position in (0..SAMPLES).map(|n| 1 + n * head / SAMPLES).take_while(|p| *p <= head) {
        let event = one(&mut by_position, params![rows::clamp(position - 1), 1])?;
        let Some(event) = event.filter(|e| e.position == position) else {
            return Ok(Some(format!("event {position} is missing")));
        };
        let before = rows::clamp(event.sequence.saturating_sub(1));
        let id = event.aggregate_id.to_string();
        if one(&mut by_stream, params![event.aggregate_type, id, before, 1])?.as_ref() != Some(&event) {
            return Ok(Some(format!("event {position} is not where its stream says")));
        }
    }
    Ok(None)
}

fn one(
    statement: &mut rusqlite::Statement<'_>,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Option<RecordedEvent>> {
    statement.query(params)?.next()?.map(rows::event).transpose()
}

/// What a deep check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Events in the log.
    pub events: u64,
    /// Position of the last one.
    pub head: u64,
    /// What is wrong; empty if nothing is. At most 100 entries.
    pub findings: Vec<String>,
}

/// Reads the whole log: every page and index (`PRAGMA integrity_check`), positions without gaps, sequences of each
/// stream without gaps, every payload and metadata JSON. Takes a few seconds for each million events. Changes nothing;
/// may run beside a server.
///
/// Not found: a changed byte inside a text that stays valid JSON; nothing in the log would tell.
///
/// # Errors
/// [`OpenError`] if the file can't be read at all.
pub fn deep_check(path: &Path) -> Result<Report, OpenError> {
    let log = look(path).map_err(|problem| problem.of(path))?;
    let mut report = Report { events: 0, head: 0, findings: Vec::new() };
    let outcome = pages(&log, &mut report).and_then(|()| events(&log, &mut report));
    if let Err(error) = outcome {
        match damage(error) {
            Ok(finding) => report.findings.extend(finding),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                report.findings.push(error.to_string());
            }
            Err(error) => return Err(crate::sqlite::Problem::from(error).of(path)),
        }
    }
    Ok(report)
}

fn pages(log: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let mut check = log.prepare("PRAGMA integrity_check(100)")?;
    let lines = check.query_map((), |row| row.get::<_, String>(0))?;
    for line in lines {
        let line = line?;
        if line != "ok" {
            report.findings.push(line);
        }
    }
    Ok(())
}

fn events(log: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let counts = "SELECT count(*), coalesce(max(position), 0) FROM events";
    (report.events, report.head) =
        log.query_row(counts, (), |row| Ok((rows::number(row, 0)?, rows::number(row, 1)?)))?;
    let room = FINDINGS_MAX.saturating_sub(report.findings.len());
    let gaps = "SELECT 'event ' || (before + 1) || ' is missing' FROM \
        (SELECT position, lag(position, 1, 0) OVER (ORDER BY position) AS before FROM events) \
        WHERE position <> before + 1 LIMIT ?1";
    let holes = "SELECT aggregate_type || '/' || aggregate_id || ' lacks event ' || (before + 1) FROM \
        (SELECT aggregate_type, aggregate_id, sequence, lag(sequence, 1, 0) OVER \
            (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence) AS before FROM events) \
        WHERE sequence <> before + 1 LIMIT ?1";
    let texts = "SELECT 'event ' || position || ' is not JSON' FROM events \
        WHERE NOT (json_valid(payload) AND json_valid(metadata)) LIMIT ?1";
    for sql in [gaps, holes, texts] {
        let mut query = log.prepare(sql)?;
        for finding in query.query_map([room], |row| row.get::<_, String>(0))? {
            report.findings.push(finding?);
        }
    }
    report.findings.truncate(FINDINGS_MAX);
    Ok(())
}
