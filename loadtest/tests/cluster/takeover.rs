//! One node projects for all; another takes over when it can't any more.

use crate::kit::{LIMIT, Person, api, next_message, start, until};
use std::time::{Duration, Instant};
use verbatim_loadtest::cluster::{Cluster, Node};
use verbatim_loadtest::http::SeqPage;

/// The promise.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(5);

/// The number of the node that runs the projections.
async fn leader(cluster: &Cluster) -> usize {
    until("a node that projects", LIMIT, async || {
        for (number, node) in cluster.nodes.iter().enumerate() {
            if node.server.is_some() && leads(node).await {
                return Some(number);
            }
        }
        None
    })
    .await
}

async fn leads(node: &Node) -> bool {
    let Ok(answer) = reqwest::get(format!("{}/metrics", node.launch.base())).await else { return false };
    let text = answer.text().await.unwrap();
    text.lines().any(|line| line.starts_with("verbatim_projection_leading") && line.ends_with(" 1"))
}

/// How long a message sent at `node` takes until it is projected.
async fn projected(
    person: &Person,
    node: &Node,
    room: verbatim_loadtest::ids::RoomId,
    body: &str,
) -> Duration {
    let began = Instant::now();
    let sent = person.sends_at_last(node, room, body).await;
    let api = api(node);
    until("the message in history", LIMIT, async || {
        let page = api.history(&person.token, room, SeqPage::After(sent.seq - 1), 1, 0).await.ok()?;
        page.items.first().map(|_| ())
    })
    .await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_killed_node() {
    let mut cluster = start(2).await;
    let leading = leader(&cluster).await;
    let standby = 1 - leading;
    let ann = Person::at(&cluster.nodes[standby]).await;
    let room = ann.opens_room(&cluster.nodes[standby]).await;
    let mut listener = ann.listens(&cluster.nodes[standby], room).await;
    ann.sends(&cluster.nodes[leading], room, "before").await;
    assert_eq!(next_message(&mut listener).await["seq"], 1);

    let began = Instant::now();
    cluster.nodes[leading].kill().await.unwrap();
    projected(&ann, &cluster.nodes[standby], room, "after").await;
    assert_eq!(next_message(&mut listener).await["seq"], 2);
    println!("takeover after kill -9: {:.2} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed() < TAKEOVER_LIMIT);
    assert_eq!(leader(&cluster).await, standby);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_node_that_is_cut_off() {
    let cluster = start(2).await;
    let leading = leader(&cluster).await;
    let standby = &cluster.nodes[1 - leading];
    let ann = Person::at(standby).await;
    let room = ann.opens_room(standby).await;
    let mut listener = ann.listens(standby, room).await;

    let began = Instant::now();
    cluster.nodes[leading].lines.as_ref().unwrap().postgres.cut();
    projected(&ann, standby, room, "after").await;
    assert_eq!(next_message(&mut listener).await["seq"], 1);
    println!("takeover from a node that is cut off: {:.2} s", began.elapsed().as_secs_f64());
    assert!(began.elapsed() < TAKEOVER_LIMIT);
    cluster.nodes[leading].lines.as_ref().unwrap().postgres.heal();
    let deposed = &cluster.nodes[leading];
    until("the deposed node to know it", LIMIT, async || (!leads(deposed).await).then_some(())).await;
    ann.sends_at_last(deposed, room, "as one of two").await;
    assert_eq!(next_message(&mut listener).await["seq"], 2);
}

/// The message is projected, the node that should tell about it dies before it does, and nobody says a word after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_room_hears_its_last_message() {
    let mut cluster = start(2).await;
    let leading = leader(&cluster).await;
    let standby = 1 - leading;
    let ann = Person::at(&cluster.nodes[standby]).await;
    let room = ann.opens_room(&cluster.nodes[standby]).await;
    let mut listener = ann.listens(&cluster.nodes[standby], room).await;
    // The runner projects, and can tell nobody.
    cluster.nodes[leading].lines.as_ref().unwrap().redis.cut();
    let sent = ann.sends(&cluster.nodes[standby], room, "the last word").await;
    let reader = api(&cluster.nodes[standby]);
    let position = reader.position();
    until("the projection of it", LIMIT, async || {
        let page = reader.history(&ann.token, room, SeqPage::After(0), 1, position).await.ok()?;
        page.items.first().map(|_| ())
    })
    .await;
    cluster.nodes[leading].kill().await.unwrap();
    assert_eq!(next_message(&mut listener).await["seq"], sent.seq);
}
