//! What works and what does not while one of the servers is away; and that all works again by itself.

use crate::kit::{LIMIT, Person, api, assert_unavailable, call, next_message, start, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use verbatim_loadtest::cluster::{Cluster, Node};
use verbatim_loadtest::http::SeqPage;
use verbatim_loadtest::ids::RoomId;

/// Waits until every node takes and shows a message, and prints how long that took.
async fn recovers(what: &str, cluster: &Cluster, person: &Person, room: RoomId) {
    let began = Instant::now();
    for (number, node) in cluster.nodes.iter().enumerate() {
        let sent = person.sends_at_last(node, room, &format!("after {what}, node {number}")).await;
        until("the message in the other node's history", LIMIT, async || {
            let other = &cluster.nodes[(number + 1) % cluster.nodes.len()];
            let page =
                api(other).history(&person.token, room, SeqPage::After(sent.seq - 1), 1, 0).await.ok()?;
            page.items.first().filter(|message| message.seq == sent.seq).map(|_| ())
        })
        .await;
        until("a node that says that it is ready", LIMIT, async || ready(node).await.0.then_some(())).await;
    }
    println!("{what}: whole again {:.2} s after the server was back", began.elapsed().as_secs_f64());
}

/// Whether a node says it is ready, and its whole answer.
async fn ready(node: &Node) -> (bool, String) {
    let answer = reqwest::get(format!("{}/health/ready", node.launch.base())).await.unwrap();
    (answer.status().is_success(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mysql_sends_are_taken_and_history_says_try_later() {
    let mut cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    let mut listener = ann.listens(&cluster.nodes[1], room).await;
    ann.sends(&cluster.nodes[0], room, "before").await;
    assert_eq!(next_message(&mut listener).await["seq"], 1);
    cluster.mariadb.kill_9();

    for number in 2..=6 {
        let node = &cluster.nodes[number % 2];
        let sent = ann.sends(node, room, &format!("meanwhile {number}")).await;
        assert_eq!(sent.seq, number as u64, "durable in the log, which is all a send needs");
    }
    for node in &cluster.nodes {
        let path = format!("/rooms/{room}/messages");
        assert_unavailable(&call(node, Method::GET, &path, Some(&ann.token), Value::Null).await);
        assert_unavailable(&call(node, Method::GET, "/me/rooms", Some(&ann.token), Value::Null).await);
        let (is_ready, says) = ready(node).await;
        assert!(!is_ready && says.contains("read_models"), "{says}");
    }
    cluster.mariadb.start_again();
    recovers("mysql killed", &cluster, &ann, room).await;
    for seq in 2..=6 {
        assert_eq!(
            next_message(&mut listener).await["seq"],
            seq,
            "what was sent meanwhile is pushed now, in order"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_everything_works_and_nothing_is_lost() {
    for (what, wiped) in [("redis killed, data kept", false), ("redis killed, data lost", true)] {
        let mut cluster = start(2).await;
        let (ann, bob) = (Person::at(&cluster.nodes[0]).await, Person::at(&cluster.nodes[1]).await);
        let room = ann.opens_room(&cluster.nodes[0]).await;
        api(&cluster.nodes[1]).join(&bob.token, room).await.unwrap();
        let mut listener = bob.listens(&cluster.nodes[1], room).await;
        ann.sends(&cluster.nodes[0], room, "before").await;
        assert_eq!(next_message(&mut listener).await["seq"], 1);
        if wiped {
            assert_eq!(cluster.redis.cli(&["FLUSHALL"]).trim(), "OK");
        }
        cluster.redis.kill_9();

        for number in 2..=6_u64 {
            let node = &cluster.nodes[usize::try_from(number).unwrap() % 2];
            assert_eq!(ann.sends(node, room, &format!("meanwhile {number}")).await.seq, number);
        }
        for node in &cluster.nodes {
            let api = api(node);
            let read = until("history and counts without Redis", LIMIT, async || {
                let page = api.history(&bob.token, room, SeqPage::Newest, 10, 0).await.unwrap();
                let rooms = api.my_rooms(&bob.token, None, 0).await.unwrap();
                (page.items.len() == 6 && rooms.items[0].unread == 6).then_some(())
            });
            read.await;
        }
        cluster.redis.start_again();
        for seq in 2..=6 {
            assert_eq!(next_message(&mut listener).await["seq"], seq);
        }
        recovers(what, &cluster, &ann, room).await;
        let front = cluster.front();
        let verified = until("counts in Redis that are right", LIMIT, async || {
            let (status, said) = front.cli(&["projections", "verify", "unread"], LIMIT).await.unwrap();
            status.success().then_some(said)
        });
        println!("{}", verified.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_history_is_read_and_sends_say_try_later() {
    let mut cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    let sent = ann.sends(&cluster.nodes[0], room, "before").await;
    let (reader, position) = (api(&cluster.nodes[1]), api(&cluster.nodes[0]).position());
    reader.history(&ann.token, room, SeqPage::Newest, 1, position).await.unwrap();
    cluster.postgres.kill_9();

    let path = format!("/rooms/{room}/messages");
    for node in &cluster.nodes {
        let refused = call(node, Method::POST, &path, Some(&ann.token), json!({"body": "lost?"})).await;
        assert_unavailable(&refused);
        let read = until("history without the log", LIMIT, async || {
            let answer = call(node, Method::GET, &path, Some(&ann.token), Value::Null).await;
            (answer.status == StatusCode::OK).then_some(answer.body)
        });
        assert_eq!(read.await["items"][0]["message_id"], sent.message_id.to_string());
        let (is_ready, says) = ready(node).await;
        assert!(!is_ready && says.contains("event_log"), "{says}");
    }
    cluster.postgres.start_again();
    recovers("postgres killed", &cluster, &ann, room).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_hang_cost_seconds_not_minutes() {
    let cluster = start(1).await;
    let node = &cluster.nodes[0];
    let lines = node.lines.as_ref().unwrap();
    let ann = Person::at(node).await;
    let room = ann.opens_room(node).await;
    ann.sends(node, room, "before").await;
    let path = format!("/rooms/{room}/messages");

    lines.postgres.cut();
    assert_unavailable(&call(node, Method::POST, &path, Some(&ann.token), json!({"body": "log cut"})).await);
    lines.postgres.heal();
    recovers("the line to postgres cut", &cluster, &ann, room).await;

    lines.mariadb.cut();
    assert_unavailable(&call(node, Method::GET, &path, Some(&ann.token), Value::Null).await);
    let taken = call(node, Method::POST, &path, Some(&ann.token), json!({"body": "read models cut"})).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{taken:?}");
    lines.mariadb.heal();
    recovers("the line to mysql cut", &cluster, &ann, room).await;

    lines.redis.cut();
    let taken = call(node, Method::POST, &path, Some(&ann.token), json!({"body": "redis cut"})).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{taken:?}");
    let rooms = call(node, Method::GET, "/me/rooms", Some(&ann.token), Value::Null).await;
    assert_eq!(rooms.status, StatusCode::OK, "{rooms:?}");
    assert!(rooms.took < Duration::from_secs(3), "{rooms:?}");
    lines.redis.heal();
    recovers("the line to redis cut", &cluster, &ann, room).await;
}
