//! Unread counts from Redis, if it is there and has what this node has shown; else from the relational read models.

use super::{
    answer,
    connection::Connection,
    failure::Failure,
    floor::Floor,
    keys::{PREFIX, VERSIONS},
    link::Link,
    script,
    store::SCHEMA_VERSION,
};
use async_trait::async_trait;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;
use verbatim_application::{
    ports::{Positions, ReadError, UnreadReader, UnreadSnapshot},
    views::UnreadView,
};
use verbatim_domain::{MemberId, RoomId};

/// The longest a read waits for Redis.
const READ_LIMIT: Duration = Duration::from_millis(250);
/// The longest it waits for the relational read models to contain what Redis has shown.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);
/// How many rooms one script asks about.
const ROOMS_PER_READ: usize = 500;
/// A member of more rooms is counted by the relational read models: the script would keep Redis for too long.
const ROOMS_MAX: usize = 5_000;

/// What one room takes in the answer of `lua/read.lua`.
const COUNT_BYTES: usize = 40;

/// Where the counts came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadStatistics {
    /// Reads that Redis has answered.
    pub from_redis: u64,
    /// Reads that the relational read models have answered, or should have.
    pub from_fallback: u64,
    /// Connections to Redis that were made for reading.
    pub connections: u64,
}

#[derive(Debug, Default)]
struct Counters {
    redis: AtomicU64,
    fallback: AtomicU64,
}

/// Why the counts can't be had though the databases are there.
#[derive(Debug, thiserror::Error)]
#[error("the relational read models do not contain yet what was shown from Redis")]
struct Behind;

/// What Redis says.
enum Answer {
    Counts(UnreadSnapshot),
    /// It is being filled, or behind, or the member is in too many rooms.
    Unfit,
}

pub(super) struct Reader {
    pub(super) link: Arc<Link>,
    pub(super) floor: Arc<Floor>,
    fallback: Arc<dyn UnreadReader>,
    positions: Arc<dyn Positions>,
    counters: Counters,
}

impl Reader {
    pub(super) fn new(
        link: Arc<Link>,
        floor: Arc<Floor>,
        fallback: Arc<dyn UnreadReader>,
        positions: Arc<dyn Positions>,
    ) -> Self {
        Self { link, floor, fallback, positions, counters: Counters::default() }
    }

    pub(super) fn statistics(&self) -> ReadStatistics {
        ReadStatistics {
            from_redis: self.counters.redis.load(Ordering::Relaxed),
            from_fallback: self.counters.fallback.load(Ordering::Relaxed),
            connections: self.link.connections(),
        }
    }

    /// The member's counts in these rooms (in all for `None`), or nothing if Redis is not to be asked.
    async fn ask_redis(&self, member: MemberId, rooms: Option<&[RoomId]>) -> Option<UnreadSnapshot> {
        let (mut connection, number) = self.link.current()?;
        match ask(&mut connection, self.floor.get(), member, rooms).await {
            Ok(Answer::Counts(snapshot)) => {
                self.floor.raise(snapshot.position);
                self.link.worked();
                self.counters.redis.fetch_add(1, Ordering::Relaxed);
                Some(snapshot)
            }
            Ok(Answer::Unfit) => None,
            Err(failure) => {
                self.link.failed(number, &failure);
                None
            }
        }
    }

    async fn ask_fallback(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        self.counters.fallback.fetch_add(1, Ordering::Relaxed);
        if !self.floor.reached_by(&*self.positions, CATCH_UP_LIMIT).await {
            return Err(ReadError::Unavailable(Box::new(Behind)));
        }
        let snapshot = self.fallback.unread(member).await?;
        self.floor.promise(snapshot.position);
        Ok(snapshot)
    }
}

async fn ask(
    connection: &mut Connection,
    floor: u64,
    member: MemberId,
    rooms: Option<&[RoomId]>,
) -> Result<Answer, Failure> {
    let arguments = |command: &mut redis::Cmd| {
        command.arg(PREFIX).arg(SCHEMA_VERSION).arg(floor).arg(ROOMS_MAX);
        command.arg(member.as_uuid().as_bytes().as_slice());
        for room in rooms.unwrap_or_default() {
            command.arg(room.as_uuid().as_bytes().as_slice());
        }
    };
    let found = script::READ.run(connection, &[VERSIONS], arguments, READ_LIMIT).await?;
    let found = answer::list(found)?;
    let [kind, position, counts] = found.as_slice() else { return Ok(Answer::Unfit) };
    if answer::bytes(kind)? != b"counts" {
        return Err(answer::unexpected(kind));
    }
    let position = answer::number(position)?;
    let (counts, rest) = answer::bytes(counts)?.as_chunks::<COUNT_BYTES>();
    if !rest.is_empty() {
        return Err(answer::unexpected(kind));
    }
    Ok(Answer::Counts(UnreadSnapshot { position, rooms: counts.iter().map(view).collect() }))
}

/// Unread = last seq − read seq − deleted messages after read seq.
fn view(count: &[u8; COUNT_BYTES]) -> UnreadView {
    let (room, numbers) = count.split_at(16);
    let mut numbers = numbers.as_chunks().0.iter().map(|number| u64::from_be_bytes(*number));
    let mut next = || numbers.next().unwrap_or_default();
    let (last_seq, read_seq, deleted) = (next(), next(), next());
    let unread = last_seq.saturating_sub(read_seq).saturating_sub(deleted);
    let room = Uuid::from_slice(room).unwrap_or_default();
    UnreadView { room_id: RoomId::from_uuid(room), unread, last_seq, read_seq }
}

#[async_trait]
impl UnreadReader for Reader {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        let wanted: BTreeSet<RoomId> = rooms.iter().copied().collect();
        let asked: Vec<RoomId> = wanted.iter().copied().collect();
        let mut counts = Vec::with_capacity(asked.len());
        for rooms in asked.chunks(ROOMS_PER_READ) {
            let Some(snapshot) = self.ask_redis(member, Some(rooms)).await else {
                // All rooms, because only that answer says which position it is of.
                let snapshot = self.ask_fallback(member).await?;
                return Ok(snapshot
                    .rooms
                    .into_iter()
                    .filter(|view| wanted.contains(&view.room_id))
                    .collect());
            };
            counts.extend(snapshot.rooms);
        }
        Ok(counts)
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        match self.ask_redis(member, None).await {
            Some(snapshot) => Ok(snapshot),
            None => self.ask_fallback(member).await,
        }
    }
}
