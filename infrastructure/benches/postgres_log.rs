//! Speed of the PostgreSQL event log: `cargo bench -p verbatim-infrastructure --bench postgres_log [-- SECONDS]`.
//!
//! On a server of its own with the durability of production: appends of 1, 16 and 256 rows by 1, 4 and 8 writers, with and
//! without NOTIFY; two rows an append at a steady rate, for the latency, and how late another node's hint comes; reads from
//! the start; and appends while a long transaction (a dump) keeps the server from tidying up. The time of a bare fdatasync
//! comes first: a commit waits for one.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use chrono::DateTime;
use sqlx::{Connection, Executor, PgConnection};
use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;
use verbatim_application::ports::{EventLog, NewEvent, READ_BATCH_MAX, StreamId};
use verbatim_infrastructure::{PostgresEventLog, PostgresLogOptions, postgres::deep_check};
use verbatim_migrations::event_log::POSTGRES;
use verbatim_servers::{Durability, Postgres};

/// Rooms of each writer.
const ROOMS: u64 = 100;

/// What one writer writes: chat messages into rooms of its own.
struct Writer {
    id: u64,
    next: u64,
}

impl Writer {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), next: 0 }
    }

    fn event(&mut self) -> NewEvent {
        let n = self.next;
        self.next += 1;
        let id = |a: u64, b: u64| {
            let n = u128::from(self.id) << 96 | u128::from(a) << 48 | u128::from(b);
            Uuid::from_u128(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        };
        let (room_id, message_id) = (id(n % ROOMS + 1, 0), id(0, n + 1));
        NewEvent {
            stream: StreamId { aggregate_type: "room", aggregate_id: room_id },
            sequence: n / ROOMS + 1,
            event_type: "MessageSent",
            event_version: "1",
            payload: format!(
                r#"{{"MessageSent":{{"room_id":"{room_id}","message_id":"{message_id}","seq":{n},"sender_id":"{room_id}","sender_name":"Somebody","body":"a sentence of common length, said to nobody in particular","at":"2025-01-01T00:00:00.000000Z"}}}}"#
            ),
            metadata: format!(r#"{{"actor":"{room_id}","correlation_id":"{message_id}"}}"#),
            idempotency_key: n.is_multiple_of(2).then(|| format!("{room_id}:{message_id}")),
        }
    }

    async fn append(&mut self, log: &PostgresEventLog, rows: usize) {
        let events = (0..rows).map(|_| self.event()).collect();
        log.append(events, vec![], DateTime::UNIX_EPOCH).await.unwrap();
    }
}

async fn open(url: &str, notify: bool) -> Arc<PostgresEventLog> {
    let options = PostgresLogOptions { notify, ..PostgresLogOptions::default() };
    Arc::new(PostgresEventLog::open(url, POSTGRES, options).await.unwrap())
}

/// Appends as fast as it goes; says how fast, and what it cost.
async fn hammer(log: &Arc<PostgresEventLog>, writers: usize, rows: usize, time: Duration) -> String {
    let (began, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                let (mut writer, mut appends) = (Writer::new(), 0_u64);
                while began.elapsed() < time {
                    writer.append(&log, rows).await;
                    appends += 1;
                }
                appends
            })
        })
        .collect();
    let mut appends = 0;
    for task in tasks {
        appends += task.await.unwrap();
    }
    let (rate, after) = (appends as f64 / began.elapsed().as_secs_f64(), cpu());
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / appends as f64;
    format!(
        "{rate:6.0} appends/s {:8.0} rows/s; CPU of an append: server {:6.0} us, node {:6.0} us",
        rate * rows as f64,
        each(after.0.saturating_sub(before.0)),
        each(after.1 - before.1)
    )
}

/// CPU time of all processes of the server until now, and of this one, from `/proc/PID/stat` (proc(5)): what a commit costs
/// whoever else is busy on the machine.
fn cpu() -> (Duration, Duration) {
    let stat = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<u64> =
            text.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        // Ticks of 10 ms, in user and system mode.
        Some((fields[1].to_string(), Duration::from_millis(10 * (fields[11] + fields[12]))))
    };
    let own = std::process::id().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().into_string().ok());
    let all: Vec<_> = pids.filter_map(|pid| stat(&pid).map(|(parent, cpu)| (pid, parent, cpu))).collect();
    let postmaster = all.iter().find(|(_, parent, _)| *parent == own).map(|(pid, ..)| pid.clone()).unwrap();
    let server = all.iter().filter(|(pid, parent, _)| *pid == postmaster || *parent == postmaster);
    (server.map(|(.., cpu)| *cpu).sum(), stat("self").unwrap().1)
}

fn bare_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("sync")).unwrap();
    let mut took: Vec<_> = (0..200)
        .map(|_| {
            file.write_all(&[0; 8192]).unwrap();
            let start = Instant::now();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("fdatasync after 8 KiB: p50 {:.1?}, slowest {:.1?}", took[100], took[199]);
}

fn quantiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 1_000).copied().unwrap_or_default();
    format!("p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}", at(500), at(990), at(999))
}

/// Two rows an append, 300 appends a second; how long each takes, and until another node's hint says so.
async fn latency(url: &str, notify: bool) {
    let (log, other) = (open(url, notify).await, open(url, notify).await);
    let (mut writer, mut took, mut heard) = (Writer::new(), Vec::new(), Vec::new());
    let mut hint = other.head_hint();
    let mut tick = tokio::time::interval(Duration::from_micros(3_333));
    for _ in 0..1_500 {
        tick.tick().await;
        let appending = Instant::now();
        writer.append(&log, 2).await;
        took.push(appending.elapsed());
        let head = *log.head_hint().borrow();
        if notify {
            hint.wait_for(|seen| *seen >= head).await.unwrap();
            heard.push(appending.elapsed());
        }
    }
    println!(
        "append, 2 rows, 300/s, notify {notify:5}: {}; hint elsewhere {}",
        quantiles(took),
        quantiles(heard)
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let seconds = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(2);
    let time = Duration::from_secs(seconds);
    let server = Postgres::with(Durability::Machine);
    server.create_database("bench");
    let url = server.url("bench");
    bare_sync();
    for notify in [false, true] {
        // Other nodes listen too.
        let log = open(&url, notify).await;
        let _other = open(&url, notify).await;
        for rows in [1, 16, 256] {
            for writers in [1, 4, 8] {
                let speed = hammer(&log, writers, rows, time).await;
                println!("append, {rows:3} rows, {writers} writers, notify {notify:5}: {speed}");
            }
        }
    }
    latency(&url, false).await;
    latency(&url, true).await;

    let log = open(&url, true).await;
    let (start, head, mut position) = (Instant::now(), log.head().await.unwrap(), 0);
    while position < head {
        position = log.read(position, READ_BATCH_MAX).await.unwrap().last().unwrap().position;
    }
    println!(
        "read, {READ_BATCH_MAX} rows a batch: {:.0} rows/s",
        head as f64 / start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let report = deep_check(&url).await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    println!("deep check of {} events: {:.1?}", report.events, start.elapsed());

    let mut dump = PgConnection::connect(&url).await.unwrap();
    dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event_log_turn").await.unwrap();
    for step in 0..=5 {
        let speed = hammer(&log, 8, 1, time).await;
        println!("append, 1 row, 8 writers, {:4} s into a long transaction: {speed}", step * 5 * seconds);
        if step < 5 {
            hammer(&log, 8, 1, 4 * time).await;
        }
    }
}
