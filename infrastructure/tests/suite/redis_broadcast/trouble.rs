//! One thing goes wrong at a time.

use super::{
    node::{LIMIT, Node, event, member},
    pair::{Pair, channel, in_room, message},
};
use crate::{contract::broadcast::room, told::Told};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use verbatim_application::{
    ports::{Broadcast, Interest, Stretch},
    push::{Change, Push},
};
use verbatim_servers::{Redis, RedisCluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_while_the_connection_was_gone_is_told_though_nothing_follows() {
    let pair = Pair::start().await;
    pair.tell().await;
    for _ in 0..5 {
        pair.proxy.sever();
        let took = pair.tell().await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    assert!(!pair.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).is_empty());
    pair.tell().await;
    pair.other.connected(true).await;
    assert!(pair.other.counters.reconnects.load(Ordering::SeqCst) > 0);
    pair.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stays_open_and_says_nothing_is_noticed() {
    let pair = Pair::start().await;
    pair.tell().await;
    pair.proxy.cut();
    let first = pair.tell().await;
    eprintln!("half-open: the first change after {first:?}");
    assert!(first < Duration::from_secs(5), "{first:?}");
    pair.other.connected(false).await;
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(pair.tell().await);
    }
    eprintln!("then by the read models: {took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_secs(2)), "{took:?}");
    pair.proxy.heal();
    pair.other.connected(true).await;
    for _ in 0..20 {
        pair.tell().await;
    }
    pair.check();
}

/// The others have their connections, and hear nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_is_cut_off_is_noticed() {
    let pair = Pair::start().await;
    pair.tell().await;
    pair.proxy.cut();
    pair.other.connected(false).await;
    let began = Instant::now();
    for n in 0..5 {
        // Now the node that is cut off publishes.
        let publishing = Instant::now();
        pair.other.tell(message(&pair.told)).await;
        assert!(publishing.elapsed() < Duration::from_millis(100), "the projections wait for Redis");
        pair.runner.hears(pair.told.head()).await;
        eprintln!("change {n} after {:?}", began.elapsed());
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(pair.runner.broadcast.is_connected());
    assert!(pair.other.counters.left_out.load(Ordering::SeqCst) > 0);
    pair.proxy.heal();
    pair.other.connected(true).await;
    pair.other.tell(message(&pair.told)).await;
    pair.both_hear().await;
    pair.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_changes_go_by_the_read_models() {
    let mut redis = Redis::start();
    redis.kill_9();
    let told = Arc::new(Told::default());
    let node = Node::start_without_redis(&redis.url(), told.clone());
    node.listen(in_room()).await;
    for _ in 0..5 {
        node.tell(message(&told)).await;
        node.hears(told.head()).await;
    }
    let typing = Change::Typing { member_id: member(1), display_name: "Ada".to_owned() };
    let typing = Push::new(0, room(1), typing);
    node.broadcast.publish_ephemeral(typing.clone()).await.unwrap();
    let mut heard = node.heard.subscribe();
    timeout(LIMIT, heard.wait_for(|heard| heard.contains(&typing))).await.unwrap().unwrap();
    assert!(!node.broadcast.is_connected());
    redis.start_again();
    node.connected(true).await;
    for _ in 0..5 {
        node.tell(message(&told)).await;
        node.hears(told.head()).await;
    }
    assert!(node.counters.received.load(Ordering::SeqCst) > 0, "Redis carries them now");
    node.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_is_filled_before_what_follows() {
    let pair = Pair::start().await;
    pair.tell().await;
    // Applied, and never published.
    for _ in 0..3 {
        pair.told.apply(&message(&pair.told));
    }
    assert!(pair.tell().await < Duration::from_secs(1));
    assert_eq!(pair.other.counters.holes.load(Ordering::SeqCst), 1);
    pair.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_read_is_replayed() {
    let pair = Pair::start().await;
    pair.tell().await;
    for text in ["", "[", "[[0,{\"position\":2}]]", "{}"] {
        for channel in [channel(), "verbatim:{0.0}:control".to_owned()] {
            let _ = pair.redis.cli(&["PUBLISH", &channel, text]);
            pair.tell().await;
        }
    }
    assert!(pair.other.counters.holes.load(Ordering::SeqCst) > 0);
    pair.check();
}

/// Whether Redis has sent all that its subscribers are to get.
fn all_sent(redis: &mut redis::Connection) -> bool {
    let clients: String = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").query(redis).unwrap();
    clients.lines().all(|client| client.contains(" omem=0 "))
}

/// Read models that hang while Redis sends more than fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_to_be_kept_is_replayed() {
    let pair = Pair::start().await;
    pair.tell().await;
    let held = pair.told.hold().await;
    // Makes both look into the read models.
    let _ = pair.redis.cli(&["PUBLISH", "verbatim:{0.0}:control", "{\"after\":90,\"upto\":91}"]);
    timeout(LIMIT, pair.told.asked(2)).await.unwrap();
    let mut redis = redis::Client::open(pair.redis.url()).unwrap().get_connection().unwrap();
    let old = format!("{{\"after\":1,\"upto\":1}}{}", " ".repeat(64 * 1024));
    // More than is kept and than lies in the kernels' buffers, never so much at once that Redis hangs up.
    for _ in 0..64 {
        for _ in 0..16 {
            redis::cmd("PUBLISH").arg("verbatim:{0.0}:control").arg(&old).exec(&mut redis).unwrap();
        }
        let began = Instant::now();
        while !all_sent(&mut redis) {
            assert!(began.elapsed() < LIMIT, "a subscriber takes no more");
        }
    }
    for _ in 0..50 {
        pair.runner.tell(message(&pair.told)).await;
    }
    let published = || pair.runner.counters.published.load(Ordering::SeqCst);
    let began = Instant::now();
    while published() < 51 {
        assert!(began.elapsed() < LIMIT, "Redis does not take it");
        tokio::task::yield_now().await;
    }
    drop(held);
    pair.tell().await;
    assert!(pair.other.counters.holes.load(Ordering::SeqCst) > 1, "nothing was dropped");
    pair.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_that_are_away_stop_nothing_while_redis_brings_all() {
    let pair = Pair::start().await;
    pair.tell().await;
    pair.told.away.store(true, Ordering::SeqCst);
    for _ in 0..300 {
        pair.tell().await;
    }
    // A hole can't be filled now, and what comes after it must wait.
    pair.told.apply(&message(&pair.told));
    pair.runner.tell(message(&pair.told)).await;
    let mut heard = pair.other.heard.subscribe();
    let told = heard.wait_for(|heard| heard.len() > 301);
    assert!(timeout(Duration::from_millis(700), told).await.is_err(), "out of order");
    pair.told.away.store(false, Ordering::SeqCst);
    pair.tell().await;
    pair.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_a_cluster_that_dies_and_comes_back_costs_nothing() {
    let mut cluster = RedisCluster::start();
    let told = Arc::new(Told::default());
    let url = {
        let ports: Vec<_> = cluster.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}/", ports.join(","))
    };
    let (runner, other) = (Node::start(&url, told.clone()).await, Node::start(&url, told.clone()).await);
    for n in 1..40 {
        other.listen(Interest::Room(room(n))).await;
    }
    let tell = async |count: u64| {
        for _ in 0..count {
            let after = told.head();
            let pushes = event(after + 1, u128::from(after % 39 + 1), 7);
            runner.tell(Stretch { after, upto: after + 1, pushes }).await;
            other.hears(told.head()).await;
        }
    };
    tell(100).await;
    assert_eq!(other.counters.received.load(Ordering::SeqCst), 100);
    cluster.nodes()[1].kill_9();
    tell(10).await;
    cluster.nodes()[1].start_again();
    other.connected(true).await;
    runner.connected(true).await;
    tell(100).await;
    other.check();
}
