//! The set of deleted message numbers against a set that is obviously right.

mod common;

use common::arbitrary;
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeSet;
use verbatim_domain::room::SeqSet;

fn set_of(seqs: impl IntoIterator<Item = u64>) -> SeqSet {
    let mut set = SeqSet::default();
    for seq in seqs {
        set.insert(seq);
    }
    set
}

/// Runs of neighbours: the fewest ranges that can hold the set.
fn runs(model: &BTreeSet<u64>) -> usize {
    model.iter().filter(|&&seq| !seq.checked_sub(1).is_some_and(|previous| model.contains(&previous))).count()
}

#[test]
fn neighbours_share_a_range() {
    assert_eq!(set_of([]).ranges(), 0);
    assert_eq!(set_of([5, 7]).ranges(), 2);
    assert_eq!(set_of([5, 7, 6]).ranges(), 1);
    assert_eq!(set_of(1..=1_000_000).ranges(), 1);
    assert_eq!(set_of((1..=1_000).rev()).ranges(), 1);
}

#[test]
fn a_number_is_new_once() {
    let mut set = SeqSet::default();
    assert!(set.insert(4));
    assert!(!set.insert(4));
    assert!(set.insert(3));
    assert!(!set.insert(4));
}

#[test]
fn numbers_after_the_given_one_are_counted() {
    let set = set_of([1, 4, 5, 6, 9]);
    let counts: Vec<u64> = (0..=10).map(|seq| set.count_after(seq)).collect();
    assert_eq!(counts, [5, 4, 4, 4, 3, 2, 1, 1, 1, 0, 0]);
}

#[test]
fn the_ends_of_the_numbers_do_no_harm() {
    let set = set_of([u64::MAX, 0, u64::MAX - 1, 1]);
    assert_eq!(set.ranges(), 2);
    assert!(set.contains(u64::MAX) && set.contains(0) && !set.contains(2));
    assert_eq!((set.count_after(0), set.count_after(u64::MAX - 1), set.count_after(u64::MAX)), (3, 1, 0));
}

proptest! {
    #![proptest_config(arbitrary::config())]

    #[test]
    fn it_holds_what_a_tree_set_holds(seqs in vec(prop_oneof![20 => 0_u64..50, 1 => any::<u64>()], 0..120)) {
        let (mut set, mut model) = (SeqSet::default(), BTreeSet::new());
        for seq in seqs {
            prop_assert_eq!(set.insert(seq), model.insert(seq), "whether {} is new", seq);
            prop_assert!(set.contains(seq));
            prop_assert_eq!(set.ranges(), runs(&model), "ranges are as few as can be");
        }
        for seq in (0..52).chain(model.iter().copied()) {
            prop_assert_eq!(set.contains(seq), model.contains(&seq));
            let after = model.iter().filter(|&&other| other > seq).count() as u64;
            prop_assert_eq!(set.count_after(seq), after, "after {}", seq);
        }
        let json = serde_json::to_string(&set).unwrap();
        prop_assert_eq!(serde_json::from_str::<SeqSet>(&json).unwrap(), set);
    }
}
