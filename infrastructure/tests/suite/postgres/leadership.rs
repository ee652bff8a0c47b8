//! [`PostgresLeadership`]: one leads, and another takes over in less than five seconds whatever becomes of the first.

use super::{private_server, proxied, until};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use verbatim_application::ports::{Leadership, Lease};
use verbatim_infrastructure::{
    PostgresLeadership,
    postgres::{CONNECT_LIMIT, SILENCE_LIMIT},
};
use verbatim_servers::postgres_database;

/// How often a standby tries.
const TRY: Duration = Duration::from_millis(500);
/// How long a cluster may be without a leader.
const TAKEOVER: Duration = Duration::from_secs(5);
/// How long a try may take.
const TRY_LIMIT: Duration = CONNECT_LIMIT.saturating_add(Duration::from_secs(3));

fn node(url: &str) -> PostgresLeadership {
    PostgresLeadership::new(url).unwrap()
}

/// Tries as a standby does until it leads; gives how long it took.
async fn take_over(standby: &PostgresLeadership) -> (Lease, Duration) {
    until(TRY, || async { standby.try_lead("task").await.ok().flatten() }).await
}

async fn leads(node: &PostgresLeadership) -> Lease {
    node.try_lead("task").await.unwrap().expect("nobody else leads")
}

async fn stands_by(node: &PostgresLeadership) {
    assert!(node.try_lead("task").await.unwrap().is_none(), "two lead");
}

#[tokio::test]
async fn one_leads_each_task() {
    let database = postgres_database();
    let (one, other) = (node(database.url()), node(database.url()));
    let lease = leads(&one).await;
    for _ in 0..3 {
        stands_by(&other).await;
        stands_by(&one).await;
    }
    let of_other_task = other.try_lead("another task").await.unwrap().expect("it is another lock");
    // Time goes by, and the lease stays.
    assert!(timeout(SILENCE_LIMIT + Duration::from_secs(1), lease.lost()).await.is_err());
    assert!(timeout(Duration::ZERO, of_other_task.lost()).await.is_err());
    stands_by(&other).await;
}

#[tokio::test]
async fn of_many_at_once_one_leads() {
    let database = postgres_database();
    let nodes: Vec<_> = (0..10).map(|_| node(database.url())).collect();
    let tries = futures_util::future::join_all(nodes.iter().map(|node| node.try_lead("task"))).await;
    assert_eq!(tries.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn a_lease_that_is_dropped_is_given_back() {
    let database = postgres_database();
    let (one, other) = (node(database.url()), node(database.url()));
    for _ in 0..3 {
        let lease = leads(&one).await;
        stands_by(&other).await;
        drop(lease);
        let (lease, took) = take_over(&other).await;
        println!("takeover after the lease was dropped: {took:.2?}");
        assert!(took < TAKEOVER);
        drop(lease);
        until(TRY, || async { one.try_lead("task").await.unwrap() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_knows_it_before_another_leads() {
    let database = postgres_database();
    let (proxy, url) = proxied(database.url());
    let (one, standby) = (node(&url), node(database.url()));
    let lease = leads(&one).await;
    stands_by(&standby).await;
    proxy.cut();
    let cut = Instant::now();
    let lost = tokio::spawn(async move {
        lease.lost().await;
        Instant::now()
    });
    let (_lease, took) = take_over(&standby).await;
    let led_again = Instant::now();
    let lost = lost.await.unwrap();
    println!("cut off: noticed after {:.2?}, takeover after {took:.2?}", lost - cut);
    assert!(lost < led_again, "two led at the same time");
    assert!(took < TAKEOVER);
    // Who is cut off does not wait long for the news.
    let asked = Instant::now();
    assert!(one.try_lead("task").await.is_err());
    assert!(asked.elapsed() < TRY_LIMIT, "{:?}", asked.elapsed());
    proxy.heal();
    stands_by(&one).await;
}

#[tokio::test]
async fn a_leader_that_dies_is_replaced_at_once() {
    let database = postgres_database();
    let (proxy, url) = proxied(database.url());
    let (one, standby) = (node(&url), node(database.url()));
    let lease = leads(&one).await;
    stands_by(&standby).await;
    // What the server sees of a process that is killed: its system closes the connection.
    proxy.sever();
    let (_lease, took) = take_over(&standby).await;
    println!("takeover after the leader died: {took:.2?}");
    assert!(took < Duration::from_secs(2));
    timeout(TAKEOVER, lease.lost()).await.expect("it learns of it too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_of_the_server_somebody_leads_again() {
    let (mut server, url) = private_server();
    let (one, other) = (node(&url), node(&url));
    let lease = leads(&one).await;
    stands_by(&other).await;
    server.kill_9();
    timeout(TAKEOVER, lease.lost()).await.expect("it learns of it");
    let asked = Instant::now();
    assert!(other.try_lead("task").await.is_err());
    assert!(asked.elapsed() < TRY_LIMIT);
    server.start_again();
    let (_lease, took) = take_over(&other).await;
    println!("takeover once the server was back: {took:.2?}");
    assert!(took < TAKEOVER);
    stands_by(&one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_has_no_leader_and_then_one_again() {
    let (server, url) = private_server();
    let (one, other) = (node(&url), node(&url));
    let lease = leads(&one).await;
    stands_by(&other).await;
    server.freeze();
    timeout(SILENCE_LIMIT, lease.lost()).await.expect("it gives up in time");
    let asked = Instant::now();
    assert!(other.try_lead("task").await.is_err());
    assert!(asked.elapsed() < TRY_LIMIT, "{:?}", asked.elapsed());
    server.thaw();
    drop(lease);
    let (_lease, took) = take_over(&other).await;
    println!("takeover once the server goes on: {took:.2?}");
    assert!(took < TAKEOVER);
}

#[test]
fn what_is_no_url_is_refused() {
    for url in ["", "somewhere", "postgres://[", "127.0.0.1:5432"] {
        assert!(PostgresLeadership::new(url).is_err(), "{url}");
    }
}
