//! The command line, beside a cluster that runs.

use crate::kit::{LIMIT, Person, api, start, until};
use serde_json::Value;
use std::time::Duration;
use verbatim_loadtest::http::SeqPage;

/// A command may take this long.
const COMMAND: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn operators_look_rebuild_verify_and_go_back_while_it_runs() {
    let cluster = start(2).await;
    let front = cluster.front();
    let cli = async |args: &[&str]| {
        let (status, said) = front.cli(args, COMMAND).await.unwrap();
        assert!(status.success(), "{args:?}: {status}: {said}");
        said
    };
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    for number in 0..50 {
        ann.sends(&cluster.nodes[number % 2], room, &format!("message {number}")).await;
    }
    let status = async || -> Vec<Value> {
        let said = cli(&["projections", "status", "--json"]).await;
        let json: Value = serde_json::from_str(&said).unwrap();
        json.as_array().or_else(|| json["projections"].as_array()).unwrap().clone()
    };
    let before = status().await;
    let names: Vec<&str> = before.iter().map(|row| row["name"].as_str().unwrap()).collect();
    for name in ["rooms", "message_history", "members", "unread", "unread_redis"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(before.iter().map(|row| &row["head"]).collect::<std::collections::HashSet<_>>().len(), 1);

    cli(&["projections", "rebuild", "--all"]).await;
    // Readers and writers did not notice.
    let sent = ann.sends(&cluster.nodes[1], room, "after the rebuild").await;
    let reader = api(&cluster.nodes[0]);
    until("the message in the new version", LIMIT, async || {
        let page = reader.history(&ann.token, room, SeqPage::Newest, 200, 0).await.unwrap();
        (page.items.last()?.seq == sent.seq && page.items.len() == 51).then_some(())
    })
    .await;
    for row in status().await {
        let old = before.iter().find(|old| old["name"] == row["name"]).unwrap();
        assert!(row["version"].as_u64() > old["version"].as_u64(), "{row}");
        assert_eq!(row["previous_version"], old["version"], "{row}");
    }
    for name in &names {
        cli(&["projections", "verify", name]).await;
        cli(&["projections", "rollback", name]).await;
    }
    for row in status().await {
        let old = before.iter().find(|old| old["name"] == row["name"]).unwrap();
        assert_eq!(row["version"], old["version"], "{row}");
    }
    let rooms = until("counts after the rollback", LIMIT, async || {
        let rooms = api(&cluster.nodes[1]).my_rooms(&ann.token, None, 0).await.unwrap();
        (rooms.items[0].room.last_seq == 51).then_some(rooms)
    });
    assert_eq!(rooms.await.items[0].unread, 0);
    for name in &names {
        cli(&["projections", "verify", name]).await;
        cli(&["projections", "drop-old", name]).await;
    }

    let exported = cli(&["events", "export", "--format", "ndjson"]).await;
    let positions: Vec<u64> = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    cli(&["migrate"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_redis_is_found_and_mended() {
    let cluster = start(1).await;
    let front = cluster.front();
    let ann = Person::at(&cluster.nodes[0]).await;
    let bob = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    api(&cluster.nodes[0]).join(&bob.token, room).await.unwrap();
    for number in 0..5 {
        ann.sends(&cluster.nodes[0], room, &format!("message {number}")).await;
    }
    let verify = async || front.cli(&["projections", "verify", "unread"], COMMAND).await.unwrap();
    until("Redis to have followed", LIMIT, async || verify().await.0.success().then_some(())).await;
    // Somebody's hand in the data: what everybody has read is gone.
    let script = "local keys = redis.call('KEYS', '*:m:*') for _, key in ipairs(keys) do redis.call('DEL', key) end \
                  return #keys";
    assert_ne!(cluster.redis.cli(&["EVAL", script, "0"]).trim(), "0");
    let (status, said) = verify().await;
    assert!(!status.success() && said.contains(&bob.id.to_string()), "{said}");
    let (status, said) = front.cli(&["projections", "rebuild", "unread"], COMMAND).await.unwrap();
    assert!(status.success(), "{said}");
    until("counts that are right again", LIMIT, async || verify().await.0.success().then_some(())).await;
    let rooms = api(&cluster.nodes[0]).my_rooms(&bob.token, None, 0).await.unwrap();
    assert_eq!(rooms.items[0].unread, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_imported_beside_a_running_cluster() {
    let cluster = start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.ndjson");
    let line = |n: u32| {
        format!(
            r#"{{"room":"talk {}","sender":"sender {}","body":"line {n}","sent_at":"2020-01-01T00:00:{:02}Z"}}"#,
            n % 3,
            n % 5,
            n % 60
        )
    };
    std::fs::write(&file, (0..300).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let front = cluster.front();
    for expected in
        ["imported 300 messages, 0 were there already", "imported 0 messages, 300 were there already"]
    {
        let (status, said) = front.cli(&["import", &file.display().to_string()], COMMAND).await.unwrap();
        assert!(status.success() && said.contains(expected), "{said}");
    }
    let ann = Person::at(&cluster.nodes[0]).await;
    let rooms = until("the imported rooms", LIMIT, async || {
        let rooms = api(&cluster.nodes[0]).rooms(&ann.token, None).await.unwrap();
        (rooms.items.iter().map(|room| room.last_seq).sum::<u64>() == 300).then_some(rooms)
    });
    assert_eq!(rooms.await.items.len(), 3);
}
