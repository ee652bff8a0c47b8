//! The one statement that appends.

use super::rows;
use sqlx::{PgConnection, Row};
use std::collections::HashMap;
use verbatim_application::ports::{NewEvent, NewSnapshot, StreamId};
use verbatim_domain::Timestamp;

/// Takes the turn to append, inserts the events at the positions that gives, and the snapshots unless newer ones are there.
/// All in one statement, so in one round trip and one transaction: it takes effect as a whole or not at all.
///
/// `turn` runs first, for the result and the other parts need it; so whoever appends holds that lock before any other, and
/// two of them never wait for each other. Unique indexes see all that was committed before the turn came.
macro_rules! append {
    ($condition:literal, $answer:literal) => {
        concat!(
            "WITH turn AS MATERIALIZED (
                SELECT take_turn_to_append() AS before",
            $condition,
            "
            ), appended AS (
                INSERT INTO events (position, aggregate_type, aggregate_id, sequence, event_type, event_version,
                    payload, metadata, recorded_at, idempotency_key)
                SELECT before + n, aggregate_type, aggregate_id, sequence, event_type, event_version,
                    payload::json, metadata::json, $8, idempotency_key
                FROM turn, unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                    $7::text[], $9::text[]) WITH ORDINALITY AS event (aggregate_type, aggregate_id, sequence,
                    event_type, event_version, payload, metadata, idempotency_key, n)
            ), kept AS (
                INSERT INTO snapshots AS old (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload)
                SELECT aggregate_type, aggregate_id, last_sequence, 1, payload::json
                FROM turn, unnest($10::text[], $11::text[], $12::bigint[], $13::text[])
                    AS new (aggregate_type, aggregate_id, last_sequence, payload)
                ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE
                SET last_sequence = excluded.last_sequence, payload = excluded.payload,
                    current_snapshot = old.current_snapshot + 1
                WHERE old.last_sequence <= excluded.last_sequence
            ) SELECT before + 1",
            $answer,
            " FROM turn"
        )
    };
}

/// Begins a turn: the advisory lock that all who append share is taken for its transaction alone. Those who append now
/// finish first, those who come later wait.
pub(super) const BEGIN_TURN: &str = "BEGIN; SELECT pg_advisory_xact_lock(7307218077116461165)";
/// The channel that says where the head is.
pub(super) const CHANNEL: &str = "verbatim_events";
/// Appends, and tells nobody.
pub(super) const QUIETLY: &str =
    append!(" WHERE pg_advisory_xact_lock_shared(7307218077116461165) IS NOT NULL", "");
/// Appends, and tells every node.
pub(super) const NOTIFYING: &str = append!(
    " WHERE pg_advisory_xact_lock_shared(7307218077116461165) IS NOT NULL",
    ", pg_notify('verbatim_events', (before + cardinality($1::text[]))::text)"
);
/// As [`NOTIFYING`], within a turn.
pub(super) const IN_TURN: &str =
    append!("", ", pg_notify('verbatim_events', (before + cardinality($1::text[]))::text)");

/// Runs [`QUIETLY`] or [`NOTIFYING`]; gives the position of the first event.
pub(super) async fn run(
    connection: &mut PgConnection,
    statement: &'static str,
    events: &[NewEvent],
    snapshots: &[NewSnapshot],
    recorded_at: Timestamp,
) -> sqlx::Result<u64> {
    let snapshots = newest(snapshots);
    let query = sqlx::query(statement)
        .bind(events.iter().map(|e| e.stream.aggregate_type).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.stream.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| rows::clamp(e.sequence)).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.event_type).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.event_version).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.payload.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.metadata.as_str()).collect::<Vec<_>>())
        .bind(recorded_at)
        .bind(events.iter().map(|e| e.idempotency_key.as_deref()).collect::<Vec<_>>())
        .bind(snapshots.iter().map(|s| s.stream.aggregate_type).collect::<Vec<_>>())
        .bind(snapshots.iter().map(|s| s.stream.aggregate_id.to_string()).collect::<Vec<_>>())
        .bind(snapshots.iter().map(|s| rows::clamp(s.sequence)).collect::<Vec<_>>())
        .bind(snapshots.iter().map(|s| s.payload.as_str()).collect::<Vec<_>>());
    // The row comes before the commit, and is good only because sqlx reads on to the end of the transaction.
    let row = query.fetch_one(connection).await?;
    let first: i64 = row.try_get(0)?;
    u64::try_from(first).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The newest of each stream, and the last of equals: one statement can't change a row twice.
fn newest(snapshots: &[NewSnapshot]) -> Vec<&NewSnapshot> {
    let mut newest: HashMap<StreamId, &NewSnapshot> = HashMap::with_capacity(snapshots.len());
    for snapshot in snapshots {
        let kept = newest.entry(snapshot.stream).or_insert(snapshot);
        if kept.sequence <= snapshot.sequence {
            *kept = snapshot;
        }
    }
    newest.into_values().collect()
}
