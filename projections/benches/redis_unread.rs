//! How fast unread counts are kept in Redis and read from there: `cargo bench -p verbatim-projections --bench redis_unread`,
//! with `EVENTS` and `ROOMS` in the environment for other sizes than 500,000 and 100. The Redis is a private one that keeps
//! nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/redis_unread_common/mod.rs"]
mod redis_unread_common;

use common::{at, log::MemoryLog, log::record};
use redis_unread_common::{Relational, Running, other_process};
use std::{sync::Arc, time::Instant};
use uuid::Uuid;
use verbatim_application::{
    codec::Event,
    ports::{RecordedEvent, UnreadReader},
};
use verbatim_domain::{
    MemberId, MessageId, RoomId,
    read_cursor::ReadCursorEvent,
    room::RoomEvent,
    text::{MessageBody, RoomName},
};
use verbatim_servers::Redis;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Ids as a node issues them: version 7, in order of time.
fn id(time: usize, what: u128) -> Uuid {
    Uuid::from_u128(
        ((1_782_864_000_000 + time as u128) << 80) | (0x7 << 76) | (0x8 << 60) | what << 32 | time as u128,
    )
}

fn member(number: usize) -> MemberId {
    MemberId::from_uuid(id(number, 1))
}

fn room(number: usize) -> RoomId {
    RoomId::from_uuid(id(number, 2))
}

/// Members of whom each room has this many.
const MEMBERS: usize = 20;

/// A room with its members.
fn founded(number: usize, members: impl Iterator<Item = usize>) -> impl Iterator<Item = Event> {
    let room_id = room(number);
    let name = RoomName::parse("A room").unwrap();
    let created = RoomEvent::GroupRoomCreated { room_id, name, creator: member(number), at: at(0) };
    let joined = members.map(move |number| {
        let member_id = member(number);
        Event::Room(RoomEvent::MemberJoined { room_id, member_id, added_by: None, at_seq: 0, at: at(0) })
    });
    std::iter::once(Event::Room(created)).chain(joined)
}

/// Talk in many rooms, in bursts: one event in 20 is a reader's mark, one in 200 a deletion.
struct Talk {
    rooms: usize,
    seqs: Vec<u64>,
    events: usize,
}

impl Talk {
    fn next(&mut self) -> Event {
        self.events += 1;
        let n = self.events;
        let number = (n / 7).wrapping_mul(31) % self.rooms;
        let (room_id, sender_id) = (room(number), member(number + n % MEMBERS));
        let seq = &mut self.seqs[number];
        let (time, message_id) = (at(n as i64), MessageId::from_uuid(id(n, 3)));
        if n.is_multiple_of(20) && *seq > 0 {
            Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced {
                room_id,
                member_id: sender_id,
                seq: *seq,
                at: time,
            })
        } else if n % 200 == 1 && *seq > 5 {
            Event::Room(RoomEvent::MessageDeleted {
                room_id,
                message_id,
                seq: *seq - n as u64 % 5,
                deleted_by: sender_id,
                at_seq: *seq,
                deleted_at: time,
            })
        } else {
            *seq += 1;
            let body = MessageBody::parse(&format!(
                "{n}: a sentence of the length that people really type when they talk to each other, more or less"
            ));
            Event::Room(RoomEvent::MessageSent {
                room_id,
                message_id,
                seq: *seq,
                sender_id,
                body: body.unwrap(),
                sent_at: time,
            })
        }
    }
}

/// Takes the time of a stretch, and how long Redis was busy with scripts meanwhile.
struct Stretch<'a>(&'a Redis, Instant);

impl<'a> Stretch<'a> {
    fn begin(redis: &'a Redis) -> Self {
        let _ = redis.cli(&["CONFIG", "RESETSTAT"]);
        Self(redis, Instant::now())
    }

    fn end(self, what: &str, number: u64, unit: &str) {
        let took = self.1.elapsed();
        let stats = self.0.cli(&["INFO", "commandstats"]);
        let scripts =
            stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).unwrap_or_default();
        let of_scripts = |name: &str| -> f64 {
            let mut fields = scripts.split(',').filter_map(|field| field.strip_prefix(name));
            fields.next().and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
        };
        println!(
            "{what}: {number} {unit} in {:.3} s, {:.0}/s, {:.1} us each; {} scripts kept Redis for {:.0} us each",
            took.as_secs_f64(),
            number as f64 / took.as_secs_f64(),
            took.as_secs_f64() * 1e6 / number as f64,
            of_scripts("calls="),
            of_scripts("usec_per_call="),
        );
    }
}

fn memory(redis: &Redis) -> u64 {
    let info = redis.cli(&["INFO", "memory"]);
    info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok()).unwrap_or(0)
}

/// Events arrive all at once, again and again: from being in the log to being counted.
async fn batches(redis: &Redis, running: &Running, log: &MemoryLog, talk: &mut Talk, size: usize) {
    let rounds = 200;
    let mut took = Vec::new();
    let stretch = Stretch::begin(redis);
    for _ in 0..rounds {
        let events: Vec<Event> = (0..size).map(|_| talk.next()).collect();
        let started = Instant::now();
        log.write(events);
        running.settle(log).await;
        took.push(started.elapsed());
    }
    stretch.end(&format!("live batches of {size} (with making them)"), rounds, "batches");
    took.sort_unstable();
    let [median, p99] = [took.len() / 2, took.len() * 99 / 100].map(|index| took[index]);
    println!("  from the log to being counted: median {median:?}, p99 {p99:?}");
}

async fn reads(
    redis: &Redis,
    reader: Arc<dyn UnreadReader>,
    what: &str,
    of: MemberId,
    at_once: usize,
    each: usize,
) {
    let rooms = reader.unread(of).await.unwrap().rooms;
    let unread = rooms.iter().filter(|view| view.unread > 0).count();
    let stretch = Stretch::begin(redis);
    let mut tasks = Vec::new();
    for _ in 0..at_once {
        let reader = Arc::clone(&reader);
        tasks.push(tokio::spawn(async move {
            for _ in 0..each {
                reader.unread(of).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let what = format!("{what}, {} rooms ({unread} with unread messages), {at_once} at once", rooms.len());
    stretch.end(&what, (at_once * each) as u64, "reads");
}

async fn run(events: usize, rooms: usize) {
    let mut talk = Talk { rooms, seqs: vec![0; rooms], events: 0 };
    let mut all: Vec<Event> = (0..rooms).flat_map(|n| founded(n, n + 1..n + MEMBERS)).collect();
    // Nobody but these two has very many rooms.
    let (some, many) = (1_000_000, 2_000_000);
    for n in 0..1_000 {
        all.extend(founded(rooms + n, std::iter::once(many).chain((n < 10).then_some(some))));
    }
    talk.rooms += 1_000;
    talk.seqs.resize(talk.rooms, 0);
    while all.len() < events / 2 {
        all.push(talk.next());
    }
    talk.rooms = rooms;
    while all.len() < events {
        all.push(talk.next());
    }
    let recorded: Vec<RecordedEvent> =
        all.into_iter().zip(1..).map(|(e, position)| record(e, position)).collect();
    let log = MemoryLog::with(recorded);
    let redis = Redis::start();
    let empty = memory(&redis);

    let stretch = Stretch::begin(&redis);
    let running = Running::start(&redis.url(), &log, &Relational::broken(&log));
    running.settle(&log).await;
    stretch.end("fill of an empty Redis by the runner", log.len(), "events");
    println!("  it takes {} KiB", (memory(&redis) - empty) / 1024);

    let admin = other_process(&redis.url(), &log);
    let stretch = Stretch::begin(&redis);
    admin.rebuild(&mut |_| {}).await.unwrap();
    stretch.end("rebuild beside it", log.len(), "events");
    let stretch = Stretch::begin(&redis);
    let verified = admin.verify(&mut |_| {}, &mut |difference| println!("{difference}")).await.unwrap();
    stretch.end("verify", verified.rows, "rows");

    for size in [1, 100, 1_000] {
        batches(&redis, &running, &log, &mut talk, size).await;
    }
    for at_once in [1, 64] {
        for (what, of, each) in [("one member", member(some), 2_000), ("one member", member(many), 500)] {
            reads(&redis, running.unread.reader(), what, of, at_once, each).await;
        }
    }
    println!("{:?}", running.unread.statistics());
    running.stop().await;
}

fn main() {
    let (events, rooms) = (setting("EVENTS", 500_000), setting("ROOMS", 100));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(events, rooms));
}
