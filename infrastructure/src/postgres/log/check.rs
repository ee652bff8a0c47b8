//! Whether what is in the log makes sense.

use super::rows;
use crate::{
    postgres::{ANSWER_LIMIT, PostgresOpenError, connect::Target, error::is_corruption},
    sqlite_log::{FINDINGS_MAX, Report},
};
use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{PgConnection, Row, query};
use tokio::time::timeout;

/// Events of one step.
const STEP: i64 = 1_000;
/// The next events: position, stream, sequence, and whether the event before in its stream is there and comes before in the
/// log. Looks at each row and all of its texts, and at the index of streams.
const NEXT: &str = "SELECT position, aggregate_type || '/' || aggregate_id, sequence,
        sequence = 1 OR EXISTS (SELECT FROM events AS previous
            WHERE previous.aggregate_type = event.aggregate_type AND previous.aggregate_id = event.aggregate_id
                AND previous.sequence = event.sequence - 1 AND previous.position < event.position),
        length(payload::text) + length(metadata::text)
    FROM events AS event WHERE position > $1 ORDER BY position LIMIT $2";

/// Reads the whole log in steps of 1,000 events: positions without gaps, sequences of each stream without gaps and in the
/// order of positions, every row and text readable. Each step is a transaction of its own,
/// so that appends beside it are not held up; what is appended meanwhile is read too. Takes about 10 s for each million
/// events.
///
/// Not found: a changed byte inside a text that stays valid JSON, unless the server keeps checksums of its pages.
///
/// # Errors
/// [`PostgresOpenError`] if the database can't be read.
pub async fn deep_check(url: &str) -> Result<Report, PostgresOpenError> {
    let mut log = Target::parse(url)?.with(super::SESSION).connect().await?;
    let mut report = Report { events: 0, head: 0, findings: Vec::new() };
    loop {
        let read = match timeout(ANSWER_LIMIT, step(&mut log, &mut report)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) if is_corruption(&error) => {
                report.findings.push(format!("after event {}: {error}", report.head));
                0
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(PostgresOpenError::NoAnswer),
        };
        report.findings.truncate(FINDINGS_MAX);
        if read == 0 {
            return Ok(report);
        }
    }
}

/// Reads some events; gives how many.
fn step<'a>(log: &'a mut PgConnection, report: &'a mut Report) -> BoxFuture<'a, sqlx::Result<usize>> {
    let step = async {
        let found = query(NEXT).bind(rows::clamp(report.head)).bind(STEP).fetch_all(log).await?;
        for row in &found {
            let position = rows::number(row, 0)?;
            if position != report.head + 1 {
                report.findings.push(format!("event {} is missing", report.head + 1));
            }
            if !row.try_get::<bool, _>(3)? {
                let (stream, before) = (row.try_get::<&str, _>(1)?, rows::number(row, 2)? - 1);
                report.findings.push(format!("{stream} lacks event {before}"));
            }
            report.head = position;
            report.events += 1;
        }
        Ok(found.len())
    };
    step.boxed()
}
