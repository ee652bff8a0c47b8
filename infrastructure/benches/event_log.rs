//! Speed of the SQLite event log: `cargo bench -p verbatim-infrastructure --bench event_log [-- EVENTS]`.
//!
//! Writes chat messages into 100 rooms, 256 rows an append, as the command bus does under load, without and with
//! idempotency keys; then two rows an append at a steady rate, for the latency; reads the log from its start; and opens it
//! again, and checks it deeply. The time of a bare fdatasync comes first: no append is faster.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use chrono::DateTime;
use std::{
    io::Write,
    time::{Duration, Instant},
};
use uuid::Uuid;
use verbatim_application::ports::{EventLog, NewEvent, READ_BATCH_MAX, StreamId};
use verbatim_infrastructure::{SqliteEventLog, SqliteLogOptions, sqlite_log::deep_check};

const ROOMS: u128 = 100;
const BATCH: usize = 256;

/// Message number `n` of the bench.
fn event(n: u64, keyed: bool) -> NewEvent {
    let room = u128::from(n) % ROOMS;
    let id = |n: u128| Uuid::from_u128((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let (room_id, message_id) = (id(room), id(u128::from(n) << 64));
    NewEvent {
        stream: StreamId { aggregate_type: "room", aggregate_id: room_id },
        sequence: n / ROOMS as u64 + 1,
        event_type: "MessageSent",
        event_version: "1",
        payload: format!(
            r#"{{"MessageSent":{{"room_id":"{room_id}","message_id":"{message_id}","seq":{n},"sender_id":"{room_id}","sender_name":"Somebody","body":"a sentence of common length, said to nobody in particular","at":"2025-01-01T00:00:00.000000Z"}}}}"#
        ),
        metadata: format!(r#"{{"actor":"{room_id}","correlation_id":"{message_id}"}}"#),
        idempotency_key: keyed.then(|| format!("{room_id}:{message_id}")),
    }
}

async fn append(log: &SqliteEventLog, from: u64, count: usize, keyed: bool) {
    let events = (from..).take(count).map(|n| event(n, keyed)).collect();
    log.append(events, vec![], DateTime::UNIX_EPOCH).await.unwrap();
}

fn per_second(count: u64, took: Duration) -> String {
    format!("{:>9.0} rows/s ({count} in {took:.2?})", count as f64 / took.as_secs_f64())
}

fn bare_sync(folder: &std::path::Path) {
    let mut file = std::fs::File::create(folder.join("sync")).unwrap();
    let mut took: Vec<_> = (0..200)
        .map(|_| {
            file.write_all(&[0; 4096]).unwrap();
            let start = Instant::now();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("fdatasync after 4 KiB:  p50 {:.1?}, slowest {:.1?}", took[100], took[199]);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let total: u64 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(300_000);
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("events.db");
    let open = || {
        let migrations = verbatim_migrations::event_log::SQLITE;
        SqliteEventLog::open(&path, migrations, SqliteLogOptions::default()).unwrap()
    };
    let log = open();

    bare_sync(folder.path());
    let mut next = 0;
    for (keyed, name) in [(false, "keyless"), (true, "keyed  ")] {
        let (start, first, mut slowest) = (Instant::now(), next, Duration::ZERO);
        while next - first < total {
            let appending = Instant::now();
            append(&log, next, BATCH, keyed).await;
            slowest = slowest.max(appending.elapsed());
            next += BATCH as u64;
        }
        let rate = per_second(next - first, start.elapsed());
        println!("append, {BATCH} {name} rows each: {rate}, slowest {slowest:.1?}");
    }

    let mut took = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..3_000 {
        tick.tick().await;
        let appending = Instant::now();
        append(&log, next, 2, false).await;
        took.push(appending.elapsed());
        next += 2;
    }
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 1_000).copied().unwrap_or_default();
    println!(
        "append, 2,000 rows/s:   p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, slowest {:.1?}",
        at(500),
        at(990),
        at(999),
        took.last().unwrap()
    );

    let (start, mut position) = (Instant::now(), 0);
    while position < next {
        position = log.read(position, READ_BATCH_MAX).await.unwrap().last().unwrap().position;
    }
    println!("read, {READ_BATCH_MAX} rows a batch: {}", per_second(next, start.elapsed()));

    drop(log);
    let size = std::fs::metadata(&path).unwrap().len();
    let start = Instant::now();
    drop(open());
    println!("open and close, {} MiB:  {:.1?}", size >> 20, start.elapsed());
    let start = Instant::now();
    let report = deep_check(&path).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    println!("deep check of {} events:  {:.1?}", report.events, start.elapsed());
}
