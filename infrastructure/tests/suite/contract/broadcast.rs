//! The contract of [`Broadcast`]: a fixture is one that nobody listens to yet, and what it lives in.

use std::{any::Any, sync::Arc};
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;
use verbatim_application::{
    ports::{Broadcast, PushStream},
    push::{Change, Push},
};
use verbatim_domain::RoomId;

/// A broadcast, and what must live as long.
pub type Fixture = (Arc<dyn Broadcast>, Box<dyn Any + Send + Sync>);

/// Makes a test of each case.
macro_rules! broadcast_contract {
    ($fixture:expr) => {
        $crate::contract::contract!(broadcast, $fixture;
            every_listener_gets_every_change_in_order
            who_comes_late_gets_what_comes_later
            publishing_to_nobody_works
            nothing_is_not_sent
            a_slow_listener_is_told_that_it_missed_some
        );
    };
}
pub(crate) use broadcast_contract;

fn push(position: u64) -> Push {
    let room_id = RoomId::from_uuid(Uuid::from_u128(1));
    Push::new(position, room_id, Change::Closed { last_seq: position })
}

/// The next `count` changes.
async fn next(stream: &mut PushStream, count: usize) -> Vec<Push> {
    let mut pushes = Vec::new();
    while pushes.len() < count {
        pushes.extend(stream.recv().await.unwrap().iter().cloned());
    }
    pushes
}

pub async fn every_listener_gets_every_change_in_order((broadcast, _keep): Fixture) {
    let mut listeners = [broadcast.subscribe(), broadcast.subscribe(), broadcast.subscribe()];
    let expected: Vec<_> = (1..=300).map(push).collect();
    for batch in expected.chunks(7) {
        broadcast.publish(batch.to_vec()).await.unwrap();
    }
    for listener in &mut listeners {
        assert_eq!(next(listener, 300).await, expected);
    }
}

pub async fn who_comes_late_gets_what_comes_later((broadcast, _keep): Fixture) {
    let mut early = broadcast.subscribe();
    broadcast.publish(vec![push(1)]).await.unwrap();
    assert_eq!(next(&mut early, 1).await, [push(1)]);
    let mut late = broadcast.subscribe();
    broadcast.publish(vec![push(2)]).await.unwrap();
    assert_eq!(next(&mut late, 1).await, [push(2)]);
    drop(early);
    broadcast.publish(vec![push(3)]).await.unwrap();
    assert_eq!(next(&mut late, 1).await, [push(3)]);
}

pub async fn publishing_to_nobody_works((broadcast, _keep): Fixture) {
    broadcast.publish(vec![push(1)]).await.unwrap();
    drop(broadcast.subscribe());
    broadcast.publish(vec![push(2)]).await.unwrap();
}

pub async fn nothing_is_not_sent((broadcast, _keep): Fixture) {
    let mut listener = broadcast.subscribe();
    broadcast.publish(vec![]).await.unwrap();
    broadcast.publish(vec![push(1)]).await.unwrap();
    assert_eq!(*listener.recv().await.unwrap(), [push(1)]);
}

pub async fn a_slow_listener_is_told_that_it_missed_some((broadcast, _keep): Fixture) {
    let (mut slow, mut quick) = (broadcast.subscribe(), broadcast.subscribe());
    let last = 20_000;
    for position in 1..=last {
        broadcast.publish(vec![push(position)]).await.unwrap();
        assert_eq!(next(&mut quick, 1).await, [push(position)]);
    }
    let mut missed = 0;
    let first = loop {
        match slow.recv().await {
            Err(RecvError::Lagged(count)) => missed += count,
            Ok(pushes) => break pushes[0].position,
            Err(RecvError::Closed) => panic!("closed"),
        }
    };
    assert!(missed > 0, "it keeps everything, without bound");
    assert_eq!(first, missed + 1);
    let rest = next(&mut slow, usize::try_from(last - first).unwrap()).await;
    assert_eq!(rest.last().unwrap().position, last, "what is left is in order and whole");
}
