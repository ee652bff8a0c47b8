//! Events as rows.

use chrono::DateTime;
use rusqlite::{Row, types::Type};
use uuid::Uuid;
use verbatim_application::ports::RecordedEvent;

/// The columns of an event, in the order that [`event`] wants them. A macro, so that statements are put together at
/// compile time.
macro_rules! columns {
    () => {
        "position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
         recorded_at, idempotency_key"
    };
}

pub(super) const BY_POSITION: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE position > ?1 ORDER BY position LIMIT ?2");
pub(super) const BY_STREAM: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4"
);
pub(super) const BY_KEY: &str = concat!("SELECT ", columns!(), " FROM events WHERE idempotency_key = ?1");
pub(super) const HEAD: &str = "SELECT coalesce(max(position), 0) FROM events";
pub(super) const SNAPSHOT: &str = "SELECT last_sequence, payload FROM snapshots \
    WHERE aggregate_type = ?1 AND aggregate_id = ?2 ORDER BY last_sequence DESC LIMIT 1";
pub(super) const INSERT: &str =
    concat!("INSERT INTO events (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
pub(super) const INSERT_SNAPSHOT: &str = "INSERT INTO snapshots \
    (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload) \
    VALUES (?1, ?2, ?3, \
            (SELECT coalesce(max(current_snapshot), 0) + 1 FROM snapshots \
             WHERE aggregate_type = ?1 AND aggregate_id = ?2), \
            ?4) \
    ON CONFLICT (aggregate_type, aggregate_id, last_sequence) \
    DO UPDATE SET current_snapshot = excluded.current_snapshot, payload = excluded.payload";
pub(super) const DROP_OLDER_SNAPSHOTS: &str =
    "DELETE FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND last_sequence < ?3";

/// Reads a row of [`columns`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<RecordedEvent> {
    let text = |column: usize| -> rusqlite::Result<String> { Ok(row.get_ref(column)?.as_str()?.to_owned()) };
    let micros: i64 = row.get(8)?;
    Ok(RecordedEvent {
        position: number(row, 0)?,
        aggregate_type: text(1)?,
        aggregate_id: Uuid::try_parse(row.get_ref(2)?.as_str()?).map_err(|e| unreadable(2, Type::Text, e))?,
        sequence: number(row, 3)?,
        event_type: text(4)?,
        event_version: text(5)?,
        payload: text(6)?,
        metadata: text(7)?,
        recorded_at: DateTime::from_timestamp_micros(micros)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(8, micros))?,
        idempotency_key: row.get_ref(9)?.as_str_or_null()?.map(str::to_owned),
    })
}

/// A number that is never negative.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn unreadable(column: usize, kind: Type, error: uuid::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

/// A number as SQLite takes it. Those beyond 2^63 name no event.
pub(super) fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
