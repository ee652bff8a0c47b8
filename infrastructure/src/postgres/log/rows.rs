//! Events as rows.

use sqlx::{Row, error::BoxDynError, postgres::PgRow};
use uuid::Uuid;
use verbatim_application::ports::{RecordedEvent, Snapshot};

/// The columns of an event, in the order that [`event`] wants them. A macro, so that statements are put together at
/// compile time.
macro_rules! columns {
    () => {
        "position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text, metadata::text, \
         recorded_at, idempotency_key"
    };
}

pub(super) const BY_POSITION: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE position > $1 ORDER BY position LIMIT $2");
pub(super) const BY_STREAM: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"
);
pub(super) const BY_KEYS: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE idempotency_key = ANY($1::text[])");
/// Commits come in the order of positions, so whoever sees an event sees all before it, and the last is the head.
pub(super) const HEAD: &str = "SELECT coalesce(max(position), 0) FROM events";
/// How many of the last events [`LOOK`] counts.
pub(super) const TAIL: u64 = 1_000;
/// The last position, and how many of the last [`TAIL`] events there are.
pub(super) const LOOK: &str =
    "SELECT last.position, (SELECT count(*) FROM events WHERE events.position > last.position - 1000)
    FROM (SELECT coalesce(max(position), 0) AS position FROM events) AS last";
pub(super) const SNAPSHOT: &str =
    "SELECT last_sequence, payload::text FROM snapshots WHERE aggregate_type = $1 AND aggregate_id = $2";

/// Reads a row of [`columns`].
pub(super) fn event(row: &PgRow) -> sqlx::Result<RecordedEvent> {
    let id: &str = row.try_get(2)?;
    Ok(RecordedEvent {
        position: number(row, 0)?,
        aggregate_type: row.try_get(1)?,
        aggregate_id: Uuid::try_parse(id).map_err(|error| unreadable(2, error.into()))?,
        sequence: number(row, 3)?,
        event_type: row.try_get(4)?,
        event_version: row.try_get(5)?,
        payload: row.try_get(6)?,
        metadata: row.try_get(7)?,
        recorded_at: row.try_get(8)?,
        idempotency_key: row.try_get(9)?,
    })
}

/// Reads a row of [`SNAPSHOT`].
pub(super) fn snapshot(row: &PgRow) -> sqlx::Result<Snapshot> {
    Ok(Snapshot { sequence: number(row, 0)?, payload: row.try_get(1)? })
}

/// A number that is never negative.
pub(super) fn number(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|error| unreadable(column, error.into()))
}

fn unreadable(column: usize, source: BoxDynError) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source }
}

/// A number as PostgreSQL takes it. Those beyond 2^63 name no event.
pub(super) fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
