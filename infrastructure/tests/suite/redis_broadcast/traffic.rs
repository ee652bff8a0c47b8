//! Everything works, and much is said.

use super::{
    node::{LIMIT, Node, event, sent},
    pair::{Pair, channel, in_room, message, url},
};
use crate::{contract::broadcast::room, told::Told};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use verbatim_application::ports::{Broadcast, Delivery, Interest, REPLAY_MAX, Stretch};
use verbatim_infrastructure::{RedisBroadcast, UnobservedRedis};
use verbatim_servers::{Proxy, Redis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_go_by_redis_and_quickly() {
    let pair = Pair::start().await;
    let mut took = Vec::new();
    for _ in 0..500 {
        took.push(pair.tell().await);
    }
    pair.check();
    took.sort_unstable();
    eprintln!("from one node to both: median {:?}, p99 {:?}, most {:?}", took[250], took[495], took[499]);
    assert!(took[495] < Duration::from_millis(40), "p99 {:?}", took[495]);
    let counters = &pair.other.counters;
    assert_eq!(counters.received.load(Ordering::SeqCst), 500);
    assert_eq!(counters.holes.load(Ordering::SeqCst) + counters.replayed.load(Ordering::SeqCst), 0);
    assert_eq!(pair.runner.counters.published.load(Ordering::SeqCst), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_somebody_listens_to_is_sent_here() {
    let pair = Pair::start().await;
    for n in 2..20 {
        let after = pair.told.head();
        pair.runner.tell(Stretch { after, upto: after + 1, pushes: event(after + 1, n, 7) }).await;
    }
    pair.tell().await;
    assert_eq!(pair.other.counters.received.load(Ordering::SeqCst), 1);
    pair.other.leave(in_room());
    // Both nodes have a control channel; one still has the room.
    let began = Instant::now();
    let listeners = || pair.redis.cli(&["PUBSUB", "NUMSUB", "verbatim:{0.0}:control", &channel()]);
    while listeners().split_whitespace().collect::<Vec<_>>()[1..] != ["2", channel().as_str(), "1"] {
        assert!(began.elapsed() < LIMIT, "{}", listeners());
        tokio::task::yield_now().await;
    }
    pair.other.listen(in_room()).await;
    pair.tell().await;
    pair.check();
}

/// Listening begins and ends in the middle of what is being published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_while_much_is_said_misses_nothing() {
    let pair = Pair::start().await;
    let published = || pair.runner.counters.published.load(Ordering::SeqCst);
    let publishing = async {
        let mut told = 1;
        while told < 16_000 {
            let after = pair.told.head();
            let pushes: Vec<_> = (after + 1..=after + 200)
                .flat_map(|position| event(position, u128::from(position % 10 + 2), 7))
                .collect();
            told += pushes.len();
            pair.runner.tell(Stretch { after, upto: after + 200, pushes }).await;
            while published() + 1_000 < told {
                tokio::task::yield_now().await;
            }
        }
    };
    let listening = async {
        for turn in 0.. {
            let interest = Interest::Room(room(turn % 10 + 2));
            pair.other.leave(interest);
            pair.other.listen(interest).await;
        }
    };
    tokio::select! {
        () = publishing => {}
        () = listening => {}
    }
    pair.tell().await;
    pair.check();
    assert_eq!(pair.other.counters.holes.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_missed_very_much_is_told_so() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let told = Arc::new(Told::default());
    let broadcast = RedisBroadcast::start(&url(&proxy), Arc::new(UnobservedRedis)).unwrap();
    broadcast.replay_from(told.clone());
    let listening = broadcast.listen(in_room());
    listening.begun().await.unwrap();
    let mut hub = broadcast.subscribe();
    told.away.store(true, Ordering::SeqCst);
    let upto = REPLAY_MAX + 5;
    told.apply(&Stretch { after: 0, upto, pushes: vec![sent(5, room(1), "long ago".to_owned())] });
    told.away.store(false, Ordering::SeqCst);
    match timeout(LIMIT, hub.next()).await.unwrap() {
        Some(Delivery::Missed { upto: missed }) => assert_eq!(missed, upto),
        other => panic!("{other:?}"),
    }
    let next = message(&told);
    told.apply(&next);
    broadcast.publish(next.clone()).await.unwrap();
    match timeout(LIMIT, hub.next()).await.unwrap() {
        Some(Delivery::Changes(pushes)) => assert_eq!(*pushes, next.pushes),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_sent_at_the_end() {
    let pair = Pair::start().await;
    for _ in 0..200 {
        pair.runner.tell(message(&pair.told)).await;
    }
    pair.runner.broadcast.stop().await;
    pair.other.hears(200).await;
    pair.other.check();
    assert_eq!(pair.other.counters.replayed.load(Ordering::SeqCst), 0);
    assert_eq!(pair.runner.counters.published.load(Ordering::SeqCst), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_with_databases_of_their_own_do_not_hear_each_other() {
    let redis = Redis::start();
    let (one, other) = (Arc::new(Told::default()), Arc::new(Told::default()));
    let here = Node::start(&redis.url(), one.clone()).await;
    let there = Node::start(&format!("{}3", redis.url()), other.clone()).await;
    for node in [&here, &there] {
        node.listen(in_room()).await;
    }
    for _ in 0..20 {
        here.tell(message(&one)).await;
    }
    there.tell(message(&other)).await;
    here.hears(20).await;
    there.hears(1).await;
    here.check();
    there.check();
    assert_eq!(there.counters.received.load(Ordering::SeqCst), 1);
}
