//! What Redis should hold, folded from the log in memory: all of it, or of a range of ids if all would be too much.

use crate::projections::UnreadChanges;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};
use uuid::Uuid;
use verbatim_domain::{MemberId, RoomId};

/// One member's cursors: the read number, and whether the member is inside.
pub(super) type Cursors = BTreeMap<RoomId, (u64, bool)>;

/// The fold of the log up to a position, of members and rooms whose ids are in a range.
#[derive(Debug)]
pub(super) struct Expected {
    /// The first id of the range.
    from: Uuid,
    /// The first id after it; `None` for the last range.
    pub(super) until: Option<Uuid>,
    pub(super) position: u64,
    pub(super) heads: BTreeMap<RoomId, u64>,
    pub(super) deleted: BTreeMap<RoomId, BTreeSet<u64>>,
    pub(super) cursors: BTreeMap<MemberId, Cursors>,
    /// How many heads, deleted messages and cursors it holds, and may hold.
    pub(super) entries: usize,
    most: usize,
}

impl Expected {
    /// An empty one that begins at an id, of as many ids as `most` entries allow.
    pub(super) fn from(from: Uuid, most: usize) -> Self {
        Self {
            from,
            until: None,
            position: 0,
            heads: BTreeMap::new(),
            deleted: BTreeMap::new(),
            cursors: BTreeMap::new(),
            entries: 0,
            most,
        }
    }

    /// Whether it is the first of all ranges.
    pub(super) fn is_first(&self) -> bool {
        self.from.is_nil()
    }

    pub(super) fn covers(&self, id: Uuid) -> bool {
        id >= self.from && self.until.is_none_or(|until| id < until)
    }

    /// Takes in what the events up to `position` change.
    pub(super) fn apply(&mut self, changes: UnreadChanges, position: u64) {
        for (room, seq) in changes.heads {
            if self.covers(room.as_uuid()) {
                let mut new = false;
                let head = self.heads.entry(room).or_insert_with(|| {
                    new = true;
                    seq
                });
                *head = seq.max(*head);
                self.entries += usize::from(new);
            }
        }
        for (room, seq) in changes.deleted {
            if self.covers(room.as_uuid()) {
                self.entries += usize::from(self.deleted.entry(room).or_default().insert(seq));
            }
        }
        for ((member, room), cursor) in changes.cursors {
            if self.covers(member.as_uuid()) {
                let of_member = self.cursors.entry(member).or_default();
                let before = of_member.get(&room).copied();
                let (read_seq, inside) = before.unwrap_or_default();
                of_member.insert(room, (cursor.read_seq.max(read_seq), cursor.joined.unwrap_or(inside)));
                self.entries += usize::from(before.is_none());
            }
        }
        self.position = position;
        if self.entries > self.most {
            self.narrow();
        }
    }

    /// Ends the range earlier, so that about half of the entries remain. One id stays in any case.
    fn narrow(&mut self) {
        let mut weights: BTreeMap<Uuid, usize> = BTreeMap::new();
        for room in self.heads.keys() {
            *weights.entry(room.as_uuid()).or_default() += 1;
        }
        for (room, deleted) in &self.deleted {
            *weights.entry(room.as_uuid()).or_default() += deleted.len();
        }
        for (member, cursors) in &self.cursors {
            *weights.entry(member.as_uuid()).or_default() += cursors.len();
        }
        let mut kept = 0;
        let mut ids = weights.iter();
        let mut next = ids.next();
        while let Some((_, weight)) = next.filter(|_| kept == 0 || kept < self.entries / 2) {
            kept += weight;
            next = ids.next();
        }
        let Some((until, _)) = next else { return };
        self.heads.split_off(&RoomId::from_uuid(*until));
        self.deleted.split_off(&RoomId::from_uuid(*until));
        self.cursors.split_off(&MemberId::from_uuid(*until));
        self.until = Some(*until);
        self.entries = kept;
    }

    /// The next members, in order: so many, or fewer if they have many cursors.
    pub(super) fn members_after(
        &self,
        after: Option<MemberId>,
        members: usize,
        cursors: usize,
    ) -> Vec<MemberId> {
        let mut left = cursors;
        let next = self.cursors.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        let wanted = next.take(members).take_while(|(_, of_member)| {
            let fits = left > 0;
            left = left.saturating_sub(of_member.len());
            fits
        });
        wanted.map(|(member, _)| *member).collect()
    }

    /// The next rooms that have a head or deleted messages, in order.
    pub(super) fn rooms_after(&self, after: Option<RoomId>, rooms: usize) -> Vec<RoomId> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let heads = self.heads.range(range).take(rooms).map(|(room, _)| *room);
        let deleted = self.deleted.range(range).take(rooms).map(|(room, _)| *room);
        heads.chain(deleted).collect::<BTreeSet<_>>().into_iter().take(rooms).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::Cursor;

    fn member(number: u128) -> MemberId {
        MemberId::from_uuid(Uuid::from_u128(number))
    }

    fn room(number: u128) -> RoomId {
        RoomId::from_uuid(Uuid::from_u128(number))
    }

    /// Ten rooms, each with a head, a deleted message and one reader of the next number.
    fn changes() -> UnreadChanges {
        let mut changes = UnreadChanges::default();
        for number in 1..=10 {
            changes.heads.insert(room(number * 2), 7);
            changes.deleted.insert((room(number * 2), 3));
            changes
                .cursors
                .insert((member(number * 2 + 1), room(2)), Cursor { read_seq: 5, joined: Some(true) });
        }
        changes
    }

    #[test]
    fn ranges_cover_everything_once() {
        for most in [1, 2, 5, 17, 29, 30, 100] {
            let (mut from, mut seen, mut ranges) = (Uuid::nil(), 0, 0);
            loop {
                let mut expected = Expected::from(from, most);
                // As the fold of a long log would: more comes after it was narrowed.
                for position in 1..=5 {
                    expected.apply(changes(), position);
                }
                assert!(expected.entries <= most.max(2), "{} entries of {most}", expected.entries);
                assert_eq!(expected.is_first(), ranges == 0);
                seen += expected.entries;
                ranges += 1;
                let Some(until) = expected.until else { break };
                assert!(until > from && !expected.covers(until));
                from = until;
            }
            assert_eq!(seen, 30, "with at most {most} entries");
            assert_eq!(ranges == 1, most >= 30);
        }
    }

    #[test]
    fn walks_are_in_order_and_complete() {
        let mut expected = Expected::from(Uuid::nil(), 100);
        expected.apply(changes(), 1);
        let (mut after, mut members) = (None, Vec::new());
        loop {
            let next = expected.members_after(after, 3, 2);
            let Some(last) = next.last() else { break };
            assert!(next.len() <= 2);
            after = Some(*last);
            members.extend(next);
        }
        assert_eq!(members, (1..=10).map(|number| member(number * 2 + 1)).collect::<Vec<_>>());
        assert_eq!(expected.rooms_after(None, 3), [room(2), room(4), room(6)]);
        assert_eq!(expected.rooms_after(Some(room(18)), 3), [room(20)]);
    }

    #[test]
    fn a_cursor_only_grows_and_remembers_who_is_inside() {
        let mut expected = Expected::from(Uuid::nil(), 100);
        let mut step = |read_seq, joined| {
            let mut changes = UnreadChanges::default();
            changes.cursors.insert((member(1), room(1)), Cursor { read_seq, joined });
            expected.apply(changes, 1);
            expected.cursors[&member(1)][&room(1)]
        };
        assert_eq!(step(4, None), (4, false));
        assert_eq!(step(2, Some(true)), (4, true));
        assert_eq!(step(6, None), (6, true));
        assert_eq!(step(0, Some(false)), (6, false));
    }
}
