//! What a cluster tells of itself: one trace over all nodes, the pools, and one error for each outage.

use crate::kit::{LIMIT, Person, next_message, start, until};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use verbatim_loadtest::cluster::{Cluster, Node};

/// As a client would name it; sampled.
const TRACE: &str = "11112222333344445555666677778888";
/// The most that one node has to say at ERROR about one outage of Redis: its broadcast, its readers and its runner of unread
/// counts each have a connection.
const REDIS_ERRORS_MAX: usize = 3;

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

    let has = |told: &[(String, String, String)], stage: &str, projection: &str| {
        told.iter().any(|(_, msg, of)| msg == stage && of == projection)
    };
    let told = until("all lines of the trace", LIMIT, async || {
        let told = told(&cluster);
        (has(&told, "projected", "unread_redis") && has(&told, "pushed", "")).then_some(told)
    })
    .await;
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(has(&told, "projected", "read_models"), "{told:?}");
    for (node, stage) in [("node-1", "appended"), ("node-1", "answered"), ("node-2", "pushed")] {
        assert!(told.contains(&(node.to_owned(), stage.to_owned(), String::new())), "{told:?}");
    }
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
