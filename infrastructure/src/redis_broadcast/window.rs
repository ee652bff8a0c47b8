//! What has come over Redis and can't be handed on yet.

use super::wire::{Control, Numbered};
use std::collections::{BTreeMap, btree_map::Entry};
use verbatim_application::push::Push;

/// Most bytes of changes that wait for their control message. One more, and they are replayed instead.
pub(super) const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a control message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing new.
    Old,
    /// The stretch is whole.
    Next,
    /// What came before this stretch was not heard.
    Hole,
}

/// Changes that wait, and how far each partition is known to be whole.
#[derive(Debug, Default)]
pub(super) struct Window {
    covered: Vec<u64>,
    /// By position and number; with their size.
    waiting: BTreeMap<(u64, u32), (Push, usize)>,
    bytes: usize,
}

impl Window {
    /// Starts over: everything up to `position` is known.
    pub(super) fn reset(&mut self, partitions: u16, position: u64) {
        *self = Self { covered: vec![position; usize::from(partitions)], ..Self::default() };
    }

    /// Everything up to `position` is known from elsewhere.
    pub(super) fn skip_to(&mut self, position: u64) {
        for covered in &mut self.covered {
            *covered = position.max(*covered);
        }
        self.take(position);
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }

    /// How far a partition is known.
    pub(super) fn covered(&self, partition: u16) -> u64 {
        self.covered.get(usize::from(partition)).copied().unwrap_or_default()
    }

    /// How far all partitions are known.
    pub(super) fn settled(&self) -> u64 {
        self.covered.iter().copied().min().unwrap_or_default()
    }

    /// Keeps changes after `position`; `false` if they are too many.
    pub(super) fn put(&mut self, position: u64, pushes: Vec<Numbered>, bytes: usize) -> bool {
        let each = bytes / pushes.len().max(1);
        for (number, push) in pushes {
            if push.position <= position {
                continue;
            }
            // A new runner repeats what its predecessor has sent.
            if let Entry::Vacant(place) = self.waiting.entry((push.position, number)) {
                place.insert((push, each));
                self.bytes += each;
            }
        }
        self.bytes <= WAITING_BYTES_MAX
    }

    /// Takes a control message of a partition in.
    pub(super) fn hear(&mut self, partition: u16, control: Control) -> Heard {
        let Some(covered) = self.covered.get_mut(usize::from(partition)) else { return Heard::Old };
        if control.upto <= *covered {
            Heard::Old
        } else if control.after > *covered {
            Heard::Hole
        } else {
            *covered = control.upto;
            Heard::Next
        }
    }

    /// Takes what waits, up to a position, out in log order.
    pub(super) fn take(&mut self, upto: u64) -> Vec<Push> {
        let rest = self.waiting.split_off(&(upto.saturating_add(1), 0));
        let taken = std::mem::replace(&mut self.waiting, rest);
        self.bytes -= taken.values().map(|(_, bytes)| bytes).sum::<usize>();
        taken.into_values().map(|(push, _)| push).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;
    use verbatim_application::push::Change;
    use verbatim_domain::RoomId;

    fn push(position: u64) -> Push {
        let room_id = RoomId::from_uuid(Uuid::from_u128(1));
        Push::new(position, room_id, Change::Closed { last_seq: position })
    }

    fn positions(pushes: &[Push]) -> Vec<u64> {
        pushes.iter().map(|push| push.position).collect()
    }

    #[test]
    fn nothing_is_handed_on_before_all_partitions_are_whole() {
        let mut window = Window::default();
        window.reset(2, 10);
        assert!(window.put(10, vec![(0, push(13)), (0, push(12))], 10));
        assert!(window.put(10, vec![(0, push(11)), (1, push(11)), (0, push(10))], 10));
        assert_eq!(window.hear(0, Control { after: 10, upto: 12 }), Heard::Next);
        assert_eq!(window.settled(), 10);
        assert_eq!(window.hear(1, Control { after: 8, upto: 13 }), Heard::Next);
        assert_eq!(window.settled(), 12);
        assert_eq!(positions(&window.take(12)), [11, 11, 12]);
        assert_eq!(window.hear(0, Control { after: 12, upto: 13 }), Heard::Next);
        assert_eq!(positions(&window.take(13)), [13]);
        assert_eq!(window.bytes, 0);
    }

    #[test]
    fn what_is_repeated_is_kept_once_and_what_is_missing_is_seen() {
        let mut window = Window::default();
        window.reset(1, 10);
        for bytes in 4..6 {
            assert!(window.put(10, vec![(0, push(11))], bytes));
        }
        assert_eq!(window.bytes, 4);
        assert_eq!(window.hear(0, Control { after: 5, upto: 10 }), Heard::Old);
        assert_eq!(window.hear(0, Control { after: 11, upto: 12 }), Heard::Hole);
        assert_eq!(window.covered(0), 10);
        window.skip_to(12);
        assert_eq!((window.covered(0), window.bytes), (12, 0));
        assert_eq!(window.hear(0, Control { after: 11, upto: 12 }), Heard::Old);
        assert_eq!(window.hear(7, Control { after: 12, upto: 13 }), Heard::Old);
    }

    #[test]
    fn too_much_is_refused() {
        let mut window = Window::default();
        window.reset(1, 0);
        assert!(window.put(0, vec![(0, push(1))], WAITING_BYTES_MAX));
        assert!(!window.put(0, vec![(0, push(2))], 1));
        window.clear();
        assert!(window.put(0, vec![(0, push(2))], 1));
    }
}
