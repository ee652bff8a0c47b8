//! How fast the read models are filled: `cargo bench -p verbatim-projections`, with `EVENTS` and `ROOMS` in the
//! environment for other sizes than 500,000 and 100, `ONLY=sqlite` or `ONLY=mysql` for one of the databases, and `SHORT`
//! for the first figures only.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Backend, Bench, Collector, FixedClock, Running, Store, at, log::MemoryLog, log::record};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use uuid::Uuid;
use verbatim_application::{
    codec::Event,
    ports::{Range, RecordedEvent},
};
use verbatim_domain::{
    MemberId, MessageId, RoomId,
    member::MemberEvent,
    read_cursor::ReadCursorEvent,
    room::RoomEvent,
    text::{DisplayName, Email, MessageBody, RoomName},
};
use verbatim_projections::{Admin, BatchReport, Observer, ProjectionStatus};
use verbatim_servers::{Durability, MariaDb};

/// Events for the live runner alone.
const MORE: usize = 80_000;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Ids as a node issues them: version 7, in order of time.
fn id(time: usize, what: u128) -> Uuid {
    Uuid::from_u128(
        ((1_782_864_000_000 + time as u128) << 80) | (0x7 << 76) | (0x8 << 60) | what << 32 | time as u128,
    )
}

/// Mostly messages of about 100 bytes; one event in 20 is a reader's mark, one in 100 an edit or a deletion.
fn history(events: usize, rooms: usize) -> Vec<RecordedEvent> {
    let members = rooms * 5;
    let member = |n: usize| MemberId::from_uuid(id(n % members, 1));
    let room = |n: usize| RoomId::from_uuid(id(n % rooms, 2));
    let mut all: Vec<Event> = Vec::with_capacity(events);
    for n in 0..members {
        all.push(Event::Member(MemberEvent::MemberRegistered {
            member_id: member(n),
            email: Email::parse(&format!("m{n}@example.org")).unwrap(),
            display_name: DisplayName::parse(&format!("Member number {n}")).unwrap(),
            password_hash: None,
            at: at(n as i64),
        }));
    }
    for n in 0..rooms {
        let name = RoomName::parse(&format!("Room number {n}")).unwrap();
        let created = RoomEvent::GroupRoomCreated { room_id: room(n), name, creator: member(n), at: at(0) };
        all.push(Event::Room(created));
        for m in 1..20 {
            all.push(Event::Room(RoomEvent::MemberJoined {
                room_id: room(n),
                member_id: member(n + m),
                added_by: None,
                at_seq: 0,
                at: at(m as i64),
            }));
        }
    }
    let mut seqs = vec![0_u64; rooms];
    let mut n: usize = 0;
    while all.len() < events {
        n += 1;
        // Conversations come in bursts.
        let at_room = (n / 7).wrapping_mul(31) % rooms;
        let (room_id, sender_id) = (room(at_room), member(at_room + n % 20));
        let seq = &mut seqs[at_room];
        let time = at(n as i64);
        all.push(if n.is_multiple_of(20) && *seq > 0 {
            let event = ReadCursorEvent::ReadCursorAdvanced { room_id, member_id: sender_id, seq: *seq, at: time };
            Event::ReadCursor(event)
        } else if n % 100 == 1 && *seq > 5 {
            let (message_id, edited) = (MessageId::from_uuid(id(n, 3)), *seq - n as u64 % 5);
            Event::Room(if n % 200 == 1 {
                let deleted_at = time;
                RoomEvent::MessageDeleted { room_id, message_id, seq: edited, deleted_by: sender_id, at_seq: *seq, deleted_at }
            } else {
                let body = MessageBody::parse("what I meant to say").unwrap();
                RoomEvent::MessageEdited {
                    room_id, message_id, seq: edited, edited_by: sender_id, body, at_seq: *seq, edited_at: time,
                }
            })
        } else {
            *seq += 1;
            let text = format!("{n}: a sentence of the length that people really type when they talk to each other, more or less ");
            Event::Room(RoomEvent::MessageSent {
                room_id,
                message_id: MessageId::from_uuid(id(n, 3)),
                seq: *seq,
                sender_id,
                body: MessageBody::parse(&text).unwrap(),
                sent_at: time,
            })
        });
    }
    all.into_iter().zip(1..).map(|(event, position)| record(event, position)).collect()
}

/// Processor time of this process so far, in seconds: what a loaded machine does not blur. Linux; elsewhere 0.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat.split(' ').skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// A stretch of the benchmark.
struct Stretch(Instant, f64);

impl Stretch {
    fn begin() -> Self {
        Self(Instant::now(), cpu())
    }

    fn end(&self, what: &str, events: u64) {
        let (seconds, cpu) = (self.0.elapsed().as_secs_f64(), cpu() - self.1);
        let rate = events as f64 / seconds;
        println!("{what}: {events} events in {seconds:.2} s ({cpu:.2} s of processor), {rate:.0} events/s");
    }
}

/// From an event being in the log to it being in the read models.
async fn latency(what: &str, bench: &Bench, running: &Running, times: usize) {
    let recent = bench.log.all();
    let template = recent.iter().rev().find(|event| event.event_type == "MessageSent").unwrap();
    let mut took = Vec::new();
    for _ in 0..times {
        let started = Instant::now();
        bench.log.edit(|events| {
            let position = events.len() as u64 + 1;
            events.push(RecordedEvent { position, sequence: position, ..template.clone() });
        });
        bench.settle(&running.models).await;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    println!(
        "{what}: median {:?}, p99 {:?}, longest {:?}",
        took[times / 2],
        took[times * 99 / 100],
        took[times - 1]
    );
}

/// What a page of 50 costs, by how deep in a room's history it is.
async fn depth(running: &Running) {
    let room = running.models.rooms().discover(None, 1).await.unwrap().items.remove(0);
    for seq in [1_000, room.last_seq / 2, room.last_seq] {
        let mut took = Vec::new();
        for n in 0..2_000 {
            let started = Instant::now();
            let range = Range::Before(seq.saturating_sub(n % 100));
            let page = running.models.history().messages(room.room_id, range, 50).await.unwrap();
            took.push(started.elapsed());
            assert_eq!(page.len(), 50);
        }
        took.sort_unstable();
        println!("page of 50 before message {seq} of {}: median {:?}", room.last_seq, took[1_000]);
    }
}

/// Keeps how long the live runner took for each batch.
#[derive(Default)]
struct Batches(Mutex<Vec<(usize, Duration)>>);

impl Observer for Batches {
    fn applied(&self, report: BatchReport) {
        self.0.lock().unwrap().push((report.events, report.took));
    }
}

/// New events, so many at once, each batch waited for.
async fn batches(
    size: usize,
    bench: &Bench,
    running: &Running,
    seen: &Batches,
    more: &mut Vec<RecordedEvent>,
) {
    let count = (more.len() / 2).min(20_000) / size;
    seen.0.lock().unwrap().clear();
    let stretch = Stretch::begin();
    for _ in 0..count {
        let now: Vec<_> = more.drain(..size).collect();
        bench.log.edit(|events| events.extend(now));
        bench.settle(&running.models).await;
    }
    stretch.end(&format!("live runner, {size} at a time"), (count * size) as u64);
    let mut took: Vec<_> = seen.0.lock().unwrap().iter().filter(|b| b.0 == size).map(|b| b.1).collect();
    took.sort_unstable();
    println!(
        "  a batch of {size}: median {:?}, p99 {:?}, longest {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1]
    );
}

async fn measure(bench: &Bench, more: &mut Vec<RecordedEvent>) {
    let names = ["rooms", "message_history", "members", "unread"];
    let seen = Arc::new(Batches::default());
    let stretch = Stretch::begin();
    let running = Running::new(bench.open_observed(seen.clone()).await);
    bench.settle(&running.models).await;
    stretch.end("first fill by the live runner", bench.log.len());

    for size in [10, 100, 1_000] {
        batches(size, bench, &running, &seen, more).await;
    }
    let admin = Admin::open(&bench.url(), bench.log.clone(), Arc::new(FixedClock)).await.unwrap();
    let stretch = Stretch::begin();
    admin.rebuild(&names, &mut |_| {}).await.unwrap();
    stretch.end("rebuild of all four beside it", bench.log.len());
    if std::env::var("SHORT").is_ok() {
        return;
    }
    for name in names {
        let stretch = Stretch::begin();
        admin.rebuild(&[name], &mut |_| {}).await.unwrap();
        stretch.end(&format!("rebuild of {name}"), bench.log.len());
    }

    depth(&running).await;

    let stretch = Stretch::begin();
    let verified = admin.verify(&names, &mut |_| {}, &mut |d| println!("{d}")).await.unwrap();
    stretch.end(
        &format!("verify ({} rows, {} differences)", verified.rows, verified.differences),
        bench.log.len(),
    );
    let status: Vec<ProjectionStatus> = admin.status().await.unwrap();
    println!("versions {:?}", status.iter().map(|s| s.active_version).collect::<Vec<_>>());
    if bench.backend() == Backend::Sqlite {
        println!("{} MiB", std::fs::metadata(bench.path()).unwrap().len() >> 20);
    }
    latency("one message at a time", bench, &running, 2_000).await;
    let beside = Admin::open(&bench.url(), bench.log.clone(), Arc::new(FixedClock)).await.unwrap();
    let rebuild = tokio::spawn(async move { beside.rebuild(&names, &mut |_| {}).await.unwrap() });
    while !rebuild.is_finished() {
        latency("the same during a rebuild by another process", bench, &running, 500).await;
    }
    running.stop().await;
}

fn main() {
    let (events, rooms) = (setting("EVENTS", 500_000), setting("ROOMS", 100));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let started = Instant::now();
    let mut all = history(events + MORE, rooms);
    let more = all.split_off(events);
    println!("made {events} events in {rooms} rooms in {:.1} s", started.elapsed().as_secs_f64());
    let only = std::env::var("ONLY").unwrap_or_default();
    for backend in [Backend::Sqlite, Backend::MySql] {
        let name = format!("{backend:?}").to_lowercase();
        if !name.contains(&only) {
            continue;
        }
        println!("--- {backend:?}");
        // As it must be in production: what was committed outlives a power cut.
        let server = (backend == Backend::MySql).then(|| MariaDb::with(Durability::Machine));
        let store = match &server {
            None => Store::File(tempfile::tempdir().unwrap()),
            Some(server) => {
                server.create_database("verbatim");
                Store::Url(server.url("verbatim"))
            }
        };
        let bench = Bench { store, log: MemoryLog::with(all.clone()), broadcast: Collector::new() };
        runtime.block_on(measure(&bench, &mut more.clone()));
    }
}
