//! Comparing what Redis holds with the fold of the log, while the service runs. Each part is read together with the
//! position at that moment, and the fold is brought to just that position before they are compared.

use super::{
    NAME, Shared, answer,
    compare::{Differences, printed},
    diagnosis::{Finding, diagnose},
    expected::Expected,
    failure::Failure,
    keys::{Key, Tag, VERSIONS, parse},
    script,
    store::Store,
};
use crate::{Difference, Progress, ProjectionError, Stage, Verified, feed::Feed, projections::UnreadChanges};
use redis::{Cmd, Value};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use uuid::Uuid;
use verbatim_application::ports::READ_BATCH_MAX;
use verbatim_domain::{MemberId, RoomId};

/// How many heads, deleted messages and cursors are held in memory at most, about 100 bytes each. Of more, the log is read
/// once for each part.
const ENTRIES_MAX: usize = 2_000_000;
/// How many members one script reads, and how many cursors.
const MEMBERS_PER_READ: usize = 200;
const CURSORS_PER_READ: usize = 2_000;
/// How many rooms one script reads, and how many deleted messages of each.
const ROOMS_PER_READ: usize = 50;
pub(super) const DELETED_PER_READ: usize = 500;
/// About how many heads one script reads.
const HEADS_PER_READ: usize = 1_000;
/// The longest one of them may take.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// Before all scores.
const FIRST: &str = "-inf";

/// Compares the active version with the log.
pub(super) async fn verify(
    shared: &Shared,
    progress: &mut (dyn FnMut(Progress) + Send),
    on_difference: &mut (dyn FnMut(Difference) + Send),
) -> Result<Verified, ProjectionError> {
    let mut store = Store::connect(&shared.server).await?;
    let place = match diagnose(&store.state().await?, &shared.log).await? {
        Finding::Sound(place) => place,
        Finding::Foreign(place) => {
            let head = shared.log.head().await?;
            return Err(ProjectionError::OtherLog { name: NAME.to_owned(), position: place.position, head });
        }
        Finding::Missing | Finding::Schema => return Err(Failure::Empty.into()),
    };
    let mut verified = Verified { position: place.position, rows: 0, differences: 0 };
    let mut from = Some(Uuid::nil());
    while let Some(first) = from {
        let mut part = Part {
            shared,
            store: &mut store,
            tag: place.tag.clone(),
            expected: Expected::from(first, ENTRIES_MAX),
            feed: Feed::new(Arc::clone(&shared.log)),
            found: Differences { verified: &mut verified, on_difference, progress },
            seen: BTreeSet::new(),
        };
        part.advance(place.position).await?;
        part.compare().await?;
        from = part.expected.until;
    }
    Ok(verified)
}

/// One range of ids.
struct Part<'a> {
    shared: &'a Shared,
    store: &'a mut Store,
    tag: Tag,
    expected: Expected,
    feed: Feed,
    found: Differences<'a>,
    /// Rows that should not be there and were told: a scan may meet them twice.
    seen: BTreeSet<(&'static str, Vec<u8>)>,
}

impl Part<'_> {
    /// Brings the fold to just this position.
    async fn advance(&mut self, position: u64) -> Result<(), ProjectionError> {
        if position < self.expected.position {
            // Redis has gone back to an older state.
            return Err(ProjectionError::Superseded);
        }
        while self.expected.position < position {
            let mut batch = self.feed.next(self.expected.position, READ_BATCH_MAX).await?;
            let inside = batch.events.partition_point(|event| event.position <= position);
            batch.events.truncate(inside);
            let Some(last) = batch.last() else {
                if let Some(error) = batch.broken {
                    return Err(error.into());
                }
                let head = self.shared.log.head().await?;
                return Err(ProjectionError::OtherLog { name: NAME.to_owned(), position, head });
            };
            self.expected.apply(UnreadChanges::of(&batch.events), last);
            (self.found.progress)(Progress { stage: Stage::Fill, done: last, total: position });
        }
        self.found.verified.position = position;
        Ok(())
    }

    async fn compare(&mut self) -> Result<(), ProjectionError> {
        let mut after = None;
        loop {
            let members = self.expected.members_after(after, MEMBERS_PER_READ, CURSORS_PER_READ);
            let Some(last) = members.last() else { break };
            after = Some(*last);
            self.members(&members).await?;
            self.tell_progress();
        }
        let mut after = None;
        loop {
            let rooms = self.expected.rooms_after(after, ROOMS_PER_READ);
            let Some(last) = rooms.last() else { break };
            after = Some(*last);
            self.rooms(&rooms, true).await?;
            self.tell_progress();
        }
        self.other_heads().await?;
        self.other_keys().await?;
        self.tell_progress();
        Ok(())
    }

    fn tell_progress(&mut self) {
        let done = self.found.verified.rows;
        let total = done.max(u64::try_from(self.expected.entries).unwrap_or(u64::MAX));
        (self.found.progress)(Progress { stage: Stage::Compare, done, total });
    }

    /// Runs a script that reads, gives what it found, and brings the fold to where that was.
    async fn read(
        &mut self,
        script: &script::Script,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Vec<Value>, ProjectionError> {
        let keys = [VERSIONS, &self.tag.meta(), &self.tag.heads()];
        let found = script.run(&mut self.store.0, &keys, arguments, READ_LIMIT).await?;
        let mut found = answer::list(found)?;
        if found.is_empty() || matches!(found.first(), Some(Value::Nil)) {
            // The version was removed.
            return Err(ProjectionError::Superseded);
        }
        let position = answer::number(&found.remove(0))?;
        self.advance(position).await?;
        Ok(found)
    }

    async fn members(&mut self, members: &[MemberId]) -> Result<(), ProjectionError> {
        let base = self.tag.base();
        let arguments = |command: &mut Cmd| {
            command.arg(base);
            for member in members {
                command.arg(member.as_uuid().as_bytes().as_slice());
            }
        };
        let found = self.read(&script::VERIFY_MEMBERS, arguments).await?;
        for (member, found) in members.iter().zip(found) {
            // One may have been left to the next part meanwhile.
            if self.expected.covers(member.as_uuid()) {
                self.found.cursors(*member, self.expected.cursors.get(member), found)?;
            }
        }
        Ok(())
    }

    async fn rooms(&mut self, rooms: &[RoomId], with_heads: bool) -> Result<(), ProjectionError> {
        let mut with_heads = with_heads;
        let mut pending: Vec<(RoomId, String)> = rooms.iter().map(|room| (*room, FIRST.to_owned())).collect();
        while !pending.is_empty() {
            let base = self.tag.base();
            let arguments = |command: &mut Cmd| {
                command.arg(base).arg(DELETED_PER_READ);
                for (room, after) in &pending {
                    command.arg(room.as_uuid().as_bytes().as_slice()).arg(after);
                }
            };
            let found = self.read(&script::VERIFY_ROOMS, arguments).await?;
            let mut next = Vec::new();
            for ((room, after), found) in pending.into_iter().zip(found.chunks(2)) {
                let [head, deleted] = found else { continue };
                if !self.expected.covers(room.as_uuid()) {
                    continue;
                }
                if with_heads {
                    self.found.head(room, self.expected.heads.get(&room), head)?;
                }
                let expected = self.expected.deleted.get(&room);
                if let Some(after) = self.found.deleted(room, expected, &after, deleted)? {
                    next.push((room, after));
                }
            }
            pending = next;
            with_heads = false;
        }
        Ok(())
    }

    /// Tells of heads that should not be there.
    async fn other_heads(&mut self) -> Result<(), ProjectionError> {
        let mut cursor = "0".to_owned();
        loop {
            let arguments = |command: &mut Cmd| _ = command.arg(&cursor).arg(HEADS_PER_READ);
            let found = self.read(&script::VERIFY_HEADS, arguments).await?;
            let [next, heads] = found.as_slice() else { return Err(answer::unexpected(&Value::Nil).into()) };
            let Value::Array(heads) = heads else {
                if self.expected.is_first() {
                    let found = Some(format!("a {}", answer::text(heads)?));
                    self.found.row("heads", String::new, Some("a hash".to_owned()), found);
                }
                return Ok(());
            };
            for pair in heads.chunks(2) {
                let [room, head] = pair else { continue };
                let (room, head) = (answer::bytes(room)?, answer::text(head)?);
                let known = match Uuid::from_slice(room) {
                    Ok(id) => {
                        !self.expected.covers(id) || self.expected.heads.contains_key(&RoomId::from_uuid(id))
                    }
                    Err(_) => !self.expected.is_first(),
                };
                if !known && self.seen.insert(("heads", room.to_vec())) {
                    let key = || format!("room_id={}", printed(room));
                    self.found.row("heads", key, None, Some(format!("last_seq={head}")));
                }
            }
            cursor = answer::text(next)?;
            if cursor == "0" {
                return Ok(());
            }
        }
    }

    /// Tells of keys that should not be there.
    async fn other_keys(&mut self) -> Result<(), ProjectionError> {
        let prefix = format!("{}:", self.tag.base());
        let mut cursor = None;
        loop {
            let (keys, next) = self.store.look(&prefix, cursor).await?;
            let (mut members, mut rooms) = (Vec::new(), Vec::new());
            for key in keys {
                let Some((_, of)) = parse(&key) else { continue };
                let extra = match &of {
                    Key::Cursors(member) => {
                        self.expected.covers(member.as_uuid()) && !self.expected.cursors.contains_key(member)
                    }
                    Key::Deleted(room) => {
                        self.expected.covers(room.as_uuid()) && !self.expected.deleted.contains_key(room)
                    }
                    Key::Other => self.expected.is_first(),
                    Key::Meta | Key::Heads => false,
                };
                if !extra || !self.seen.insert(("keys", key.clone())) {
                    continue;
                }
                match of {
                    Key::Cursors(member) => members.push(member),
                    Key::Deleted(room) => rooms.push(room),
                    _ => self.found.row("keys", || printed(&key), None, Some("a key".to_owned())),
                }
            }
            // They may be of events after the fold; reading them brings it there.
            for members in members.chunks(MEMBERS_PER_READ) {
                self.members(members).await?;
            }
            for rooms in rooms.chunks(ROOMS_PER_READ) {
                self.rooms(rooms, false).await?;
            }
            if next.is_none() {
                return Ok(());
            }
            cursor = next;
        }
    }
}
