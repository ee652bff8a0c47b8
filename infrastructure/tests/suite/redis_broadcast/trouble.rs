//! One thing goes wrong at a time.

use super::node::{LIMIT, Node, event, member, sent};
use crate::{contract::broadcast::room, told::Told};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use verbatim_application::{
    ports::{Broadcast, Delivery, Interest, REPLAY_MAX, Stretch},
    push::{Change, Push},
};
use verbatim_infrastructure::RedisBroadcast;
use verbatim_servers::{Proxy, Redis, RedisCluster};

fn in_room() -> Interest {
    Interest::Room(room(1))
}

fn url(proxy: &Proxy) -> String {
    format!("redis://127.0.0.1:{}/", proxy.port())
}

/// The next message in the room.
fn message(told: &Told) -> Stretch {
    let after = told.head();
    let pushes = vec![sent(after + 1, room(1), format!("message {after}"))];
    Stretch { after, upto: after + 1, pushes }
}

/// One node that publishes, and one behind a proxy that listens.
struct Pair {
    redis: Redis,
    proxy: Proxy,
    told: Arc<Told>,
    runner: Node,
    other: Node,
}

impl Pair {
    async fn start() -> Self {
        let redis = Redis::start();
        let proxy = Proxy::start(redis.port());
        let told = Arc::new(Told::default());
        let runner = Node::start(&redis.url(), told.clone()).await;
        let other = Node::start(&url(&proxy), told.clone()).await;
        for node in [&runner, &other] {
            node.listen(in_room()).await;
        }
        Self { redis, proxy, told, runner, other }
    }

    /// Tells one thing more, and waits until both nodes have heard it.
    async fn tell(&self) -> Duration {
        let began = Instant::now();
        self.runner.tell(message(&self.told)).await;
        let head = self.told.head();
        tokio::join!(self.runner.hears(head), self.other.hears(head));
        began.elapsed()
    }

    fn check(&self) {
        self.runner.check();
        self.other.check();
    }
}

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

fn channel() -> String {
    format!("verbatim:{{0.0}}:room:{}", room(1))
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
    pair.runner.hears(pair.told.head()).await;
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

/// Read models that hang while Redis sends more than fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_to_be_kept_is_replayed() {
    let pair = Pair::start().await;
    pair.tell().await;
    let held = pair.told.hold().await;
    // Makes both look into the read models.
    let _ = pair.redis.cli(&["PUBLISH", "verbatim:{0.0}:control", "{\"after\":90,\"upto\":91}"]);
    timeout(LIMIT, pair.told.asked(2)).await.unwrap();
    let mut filler = redis::Client::open(pair.redis.url()).unwrap().get_connection().unwrap();
    let old = format!("{{\"after\":1,\"upto\":1}}{}", " ".repeat(1024 * 1024));
    for _ in 0..40 {
        redis::cmd("PUBLISH").arg("verbatim:{0.0}:control").arg(&old).exec(&mut filler).unwrap();
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
async fn one_who_missed_very_much_is_told_so() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let told = Arc::new(Told::default());
    let broadcast =
        RedisBroadcast::start(&url(&proxy), Arc::new(verbatim_infrastructure::UnobservedRedis)).unwrap();
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
