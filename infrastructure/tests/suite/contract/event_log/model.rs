//! Random histories against a model that fits in a few lines.

use super::fixture::*;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use std::collections::{HashMap, HashSet};
use verbatim_application::ports::{AppendError, NewEvent};

/// One event of an append: which stream, how far from the right sequence, and perhaps a key.
type Step = (u128, u64, Option<u8>);

#[derive(Default, Clone)]
struct Model {
    last: HashMap<u128, u64>,
    keys: HashSet<String>,
    events: Vec<NewEvent>,
}

impl Model {
    /// The events of an append, and whether it is to be taken; then it is.
    fn append(&mut self, steps: &[Step]) -> (Vec<NewEvent>, bool) {
        let mut next = self.clone();
        let (mut fine, mut events) = (true, Vec::new());
        for (id, behind, key) in steps {
            let last = next.last.entry(*id).or_default();
            // `behind` 0 is the right sequence; more is one that was there already, if there were so many.
            let sequence = (*last + 1).saturating_sub(*behind).max(1);
            fine &= sequence > *last;
            *last = (*last).max(sequence);
            let key = key.map(|k| format!("key {k}"));
            fine &= key.as_ref().is_none_or(|k| next.keys.insert(k.clone()));
            events.push(NewEvent { idempotency_key: key, ..event(stream(*id), sequence) });
        }
        if fine {
            next.events.extend(events.iter().cloned());
            *self = next;
        }
        (events, fine)
    }
}

pub async fn any_history_is_what_a_simple_model_says(fixture: Fixture) {
    let log = (fixture.open)().await;
    let mostly_right = prop_oneof![8 => Just(0_u64), 1 => 1..4_u64];
    let key = prop_oneof![4 => Just(None), 1 => (0..60_u8).prop_map(Some)];
    let step = (0..5_u128, mostly_right, key);
    let appends = prop::collection::vec(prop::collection::vec(step, 1..6), 250);
    let mut runner = TestRunner::new(Config::default());
    let mut model = Model::default();
    for steps in appends.new_tree(&mut runner).unwrap().current() {
        let (events, fine) = model.append(&steps);
        match log.append(events, vec![], at(0)).await {
            Ok(_) => assert!(fine, "taken, but the model refuses: {steps:?}"),
            Err(AppendError::Conflict) => assert!(!fine, "a conflict, but the model takes it: {steps:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    let stored = all(&*log).await;
    assert_gapless(&stored);
    let stored: Vec<_> =
        stored.into_iter().map(|e| (e.aggregate_id, e.sequence, e.idempotency_key)).collect();
    let expected: Vec<_> =
        model.events.into_iter().map(|e| (e.stream.aggregate_id, e.sequence, e.idempotency_key)).collect();
    assert_eq!(stored, expected);
}
