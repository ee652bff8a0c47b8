//! What a cluster tells of itself: one trace over all nodes, the pools, and one error for each outage.

use crate::kit::{Answer, LIMIT, Person, assert_unavailable, call, next_message, start, until};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use verbatim_loadtest::cluster::{Cluster, Node};

/// As a client would name it; sampled.
const TRACE: &str = "11112222333344445555666677778888";
/// The most that one node has to say at ERROR about one outage of Redis: its broadcast, its readers and its runner of unread
/// counts each have a connection.
const REDIS_ERRORS_MAX: usize = 3;

/// The same for an outage of a database: the runners, who leads, and what listens for others have connections of their own.
const OUTAGE_ERRORS_MAX: usize = 4;

/// The lines of a node. Each must be one that the index takes.
fn lines(node: &Node) -> Vec<Map<String, Value>> {
    let fields: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../../observability/log-fields.json")).unwrap();
    let text = std::fs::read_to_string(&node.launch.log).unwrap();
    // What follows the last line feed is being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line: &str| -> Map<String, Value> {
        let line: Map<String, Value> = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        for (name, value) in &line {
            let fits = match fields.get(name).map(String::as_str) {
                Some("keyword" | "text" | "date_nanos") => value.is_string(),
                Some("byte" | "short" | "integer" | "long") => value.is_i64(),
                other => panic!("{name} is {other:?}: {line:?}"),
            };
            assert!(fits, "{name}: {line:?}");
        }
        line
    };
    whole.lines().map(parse).collect()
}

fn errors(node: &Node) -> Vec<Map<String, Value>> {
    lines(node).into_iter().filter(|line| line["level"] == 50).collect()
}

async fn metric(node: &Node, series: &str) -> Option<f64> {
    let text = reqwest::get(format!("{}/metrics", node.launch.base())).await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

async fn pool(node: &Node, name: &str, state: &str) -> Option<f64> {
    metric(node, &format!("verbatim_pool_connections{{pool=\"{name}\",state=\"{state}\"}}")).await
}

/// Waits until the connections to Redis that the node uses are so many.
async fn redis_has(node: &Node, connections: f64) {
    until("connections to Redis", LIMIT, async || {
        (pool(node, "redis", "used").await == Some(connections)).then_some(())
    })
    .await;
}

/// What was told of the trace, by node, stage and projection.
fn told(cluster: &Cluster) -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    for node in &cluster.nodes {
        for line in lines(node).into_iter().filter(|line| line.get("trace_id") == Some(&json!(TRACE))) {
            let text = |field| line.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            told.push((text("hostname"), text("msg"), text("projection")));
        }
    }
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_finds_a_message_on_every_node_it_passed() {
    let cluster = start(2).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let ann = Person::at(one).await;
    let room = ann.opens_room(one).await;
    let mut listener = ann.listens(two, room).await;
    redis_has(two, 3.0).await;
    let sent = reqwest::Client::new()
        .post(format!("{}/api/v1/rooms/{room}/messages", one.launch.base()))
        .bearer_auth(&ann.token)
        .header("traceparent", format!("00-{TRACE}-1234567890abcdef-01"))
        .json(&json!({"body": "hello"}))
        .send();
    assert_eq!(sent.await.unwrap().status(), 201);
    assert_eq!(next_message(&mut listener).await["seq"], 1);

    let told = until("all lines of the trace", LIMIT, async || {
        let told = told(&cluster);
        (told.len() >= 5).then_some(told)
    })
    .await;
    for (node, stage) in [("node-1", "appended"), ("node-1", "answered"), ("node-2", "pushed")] {
        assert!(told.contains(&(node.to_owned(), stage.to_owned(), String::new())), "{told:?}");
    }
    // Either node may lead.
    for projection in ["read_models", "unread_redis"] {
        let projected = told.iter().filter(|(_, stage, of)| stage == "projected" && of == projection);
        assert_eq!(projected.count(), 1, "{told:?}");
    }
    assert_eq!(told.len(), 5, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_shown_and_an_outage_is_told_once() {
    let mut cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    for node in &cluster.nodes {
        ann.sends(node, room, &format!("before at {}", node.launch.listen)).await;
        redis_has(node, 3.0).await;
        for name in ["postgres", "mysql"] {
            let (used, idle) = (pool(node, name, "used").await, pool(node, name, "idle").await);
            let open = used.zip(idle).map(|(used, idle)| used + idle);
            assert!(open.is_some_and(|open| (1.0..100.0).contains(&open)), "{name}: {used:?}, {idle:?}");
        }
        assert_eq!(errors(node), Vec::<Map<String, Value>>::new());
    }
    cluster.redis.kill_9();
    for node in &cluster.nodes {
        redis_has(node, 0.0).await;
        assert_eq!(metric(node, "verbatim_broadcast_connected").await, Some(0.0));
    }
    // The outage goes on, and so does the service.
    for number in 0..20 {
        ann.sends(&cluster.nodes[number % 2], room, &format!("meanwhile {number}")).await;
    }
    cluster.redis.start_again();
    for node in &cluster.nodes {
        redis_has(node, 3.0).await;
        let errors = errors(node);
        assert!((1..=REDIS_ERRORS_MAX).contains(&errors.len()), "{errors:#?}");
        for line in &errors {
            assert!(line["error"].as_str().is_some_and(|error| !error.is_empty()), "{line:?}");
        }
        let counted = metric(node, "verbatim_log_events_total{level=\"error\"}").await;
        assert_eq!(counted, Some(errors.len() as f64));
        assert_eq!(metric(node, "verbatim_broadcast_connected").await, Some(1.0));
    }
}

/// Asks each node so often; it must refuse each time. The answer is how often each has.
async fn refusals<F: Future<Output = Answer>>(
    cluster: &Cluster,
    times: usize,
    ask: impl Fn(usize) -> F,
) -> Vec<usize> {
    let mut refused = vec![0; cluster.nodes.len()];
    for (node, refused) in refused.iter_mut().enumerate() {
        for _ in 0..times {
            let answer = ask(node).await;
            assert_unavailable(&answer);
            *refused += 1;
        }
    }
    refused
}

/// Every refusal has its line at ERROR; the outage itself has a few on each node, however long it lasts.
async fn assert_told(cluster: &Cluster, refused: &[usize]) {
    for (node, refused) in cluster.nodes.iter().zip(refused) {
        // Lines are written a little later.
        let (requests, outage) = until("the lines of all refusals and of the outage", LIMIT, async || {
            let (requests, outage): (Vec<_>, Vec<_>) =
                errors(node).into_iter().partition(|line| line.contains_key("request_id"));
            (requests.len() >= *refused && !outage.is_empty()).then_some((requests, outage))
        })
        .await;
        assert_eq!(requests.len(), *refused, "{requests:#?}");
        assert!(outage.len() <= OUTAGE_ERRORS_MAX, "{outage:#?}");
        for line in requests.iter().chain(&outage) {
            assert!(line["error"].as_str().is_some_and(|error| !error.is_empty()), "{line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_each_refusal_is_told_and_the_outage_once() {
    let mut cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    cluster.postgres.kill_9();
    let path = format!("/rooms/{room}/messages");
    let say = async |node: usize| {
        let body = json!({"body": "hello"});
        call(&cluster.nodes[node], Method::POST, &path, Some(&ann.token), body).await
    };
    let refused = refusals(&cluster, 10, say).await;
    assert_told(&cluster, &refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mysql_each_refusal_is_told_and_the_outage_once() {
    let mut cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    cluster.mariadb.kill_9();
    for number in 0..10 {
        // Something to project.
        ann.sends(&cluster.nodes[number % 2], room, &format!("meanwhile {number}")).await;
    }
    let path = format!("/rooms/{room}/messages");
    let read = async |node: usize| {
        call(&cluster.nodes[node], Method::GET, &path, Some(&ann.token), Value::Null).await
    };
    let refused = refusals(&cluster, 10, read).await;
    assert_told(&cluster, &refused).await;
}
