//! Comparing what one member or room has in Redis with what the log says.

use super::{NAME, answer, expected::Cursors, failure::Failure, verify::DELETED_PER_READ};
use crate::{Difference, Progress, Verified};
use redis::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;
use verbatim_domain::{MemberId, RoomId};

/// Tells differences, and counts them.
pub(super) struct Differences<'a> {
    pub(super) verified: &'a mut Verified,
    pub(super) on_difference: &'a mut (dyn FnMut(Difference) + Send),
    pub(super) progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl Differences<'_> {
    /// Tells of a row unless it is as it should be.
    pub(super) fn row(
        &mut self,
        table: &'static str,
        key: impl FnOnce() -> String,
        expected: Option<String>,
        found: Option<String>,
    ) {
        self.verified.rows += 1;
        if expected != found {
            self.verified.differences += 1;
            (self.on_difference)(Difference { projection: NAME, table, key: key(), expected, found });
        }
    }

    /// Compares a member's cursors: fields and values, or the type of a key that is no hash.
    pub(super) fn cursors(
        &mut self,
        member: MemberId,
        expected: Option<&Cursors>,
        found: Value,
    ) -> Result<(), Failure> {
        let Value::Array(fields) = found else {
            let found = Some(format!("a {}", answer::text(&found)?));
            self.row("cursors", || format!("member_id=\"{member}\""), Some("a hash".to_owned()), found);
            return Ok(());
        };
        let mut left: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        for (room, (read_seq, inside)) in expected.into_iter().flatten() {
            let value = if *inside { read_seq.to_string() } else { format!("-{read_seq}") };
            left.insert(room.as_uuid().as_bytes().to_vec(), value);
        }
        let key = |room: &[u8]| format!("member_id=\"{member}\", room_id={}", printed(room));
        for pair in fields.chunks(2) {
            let [room, value] = pair else { continue };
            let room = answer::bytes(room)?;
            let (expected, found) = (left.remove(room), answer::text(value)?);
            self.row("cursors", || key(room), expected.map(|value| cursor(&value)), Some(cursor(&found)));
        }
        for (room, value) in left {
            self.row("cursors", || key(&room), Some(cursor(&value)), None);
        }
        Ok(())
    }

    /// Compares a room's head.
    pub(super) fn head(
        &mut self,
        room: RoomId,
        expected: Option<&u64>,
        found: &Value,
    ) -> Result<(), Failure> {
        let found = answer::optional(found)?.map(|seq| format!("last_seq={seq}"));
        self.row(
            "heads",
            || format!("room_id=\"{room}\""),
            expected.map(|seq| format!("last_seq={seq}")),
            found,
        );
        Ok(())
    }

    /// Compares a stretch of a room's deleted messages that begins after a score: messages and scores, or the type of a
    /// key that is no sorted set. Gives the score after which the next stretch begins, if there is one.
    pub(super) fn deleted(
        &mut self,
        room: RoomId,
        expected: Option<&BTreeSet<u64>>,
        after: &str,
        found: &Value,
    ) -> Result<Option<String>, Failure> {
        let Value::Array(pairs) = found else {
            let found = Some(format!("a {}", answer::text(found)?));
            self.row("deleted", || format!("room_id=\"{room}\""), Some("a sorted set".to_owned()), found);
            return Ok(None);
        };
        let (mut there, mut last) = (BTreeSet::new(), None);
        for pair in pairs.chunks(2) {
            let [seq, score] = pair else { continue };
            let (seq, score) = (answer::text(seq)?, answer::text(score)?);
            match seq.parse::<u64>().ok().filter(|_| seq == score) {
                Some(seq) => _ = there.insert(seq),
                None => {
                    let key = || format!("room_id=\"{room}\", seq={}", printed(seq.as_bytes()));
                    self.row("deleted", key, None, Some(format!("score={score}")));
                }
            }
            last = Some(score);
        }
        let next = last.filter(|_| pairs.len() >= 2 * DELETED_PER_READ);
        let (low, high) = (whole(after).unwrap_or(0), next.as_deref().map(|next| whole(next).unwrap_or(0)));
        let inside = |seq: &u64| *seq > low && high.is_none_or(|high| *seq <= high);
        let expected: BTreeSet<u64> = expected.into_iter().flatten().copied().filter(inside).collect();
        for seq in expected.union(&there) {
            let row = |of: &BTreeSet<u64>| of.contains(seq).then(|| format!("seq={seq}"));
            self.row("deleted", || format!("room_id=\"{room}\", seq={seq}"), row(&expected), row(&there));
        }
        Ok(next)
    }
}

/// The part of a score before the point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are message numbers")]
fn whole(score: &str) -> Option<u64> {
    score.parse::<f64>().ok().filter(|score| *score >= 0.0).map(|score| score as u64)
}

/// An id if it is one, else the bytes as text.
pub(super) fn printed(bytes: &[u8]) -> String {
    match Uuid::from_slice(bytes) {
        Ok(id) => format!("\"{id}\""),
        Err(_) => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A cursor as it stands in Redis, printed.
fn cursor(value: &str) -> String {
    match value.strip_prefix('-') {
        Some(read_seq) => format!("read_seq={read_seq}, joined=0"),
        None => format!("read_seq={value}, joined=1"),
    }
}
