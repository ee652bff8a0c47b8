//! Several processes on one database: one leads, the others follow, and nothing is applied twice or told never.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use common::{
    Backend, Bench, LIMIT, Running, assert_verified,
    elections::{Elections, Usurper},
    eventually, tables, talk, told,
    world::{Act, World},
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verbatim_application::ports::{Range, ReadError};
use verbatim_projections::ReadModels;

/// Some processes on one database.
async fn nodes(bench: &Bench, elections: &Arc<Elections>, count: usize) -> Vec<Running> {
    let mut nodes = Vec::new();
    for number in 0..count {
        nodes.push(Running::new(bench.join(elections.candidate(number)).await));
    }
    nodes
}

async fn led(elections: &Elections, nodes: &[Running]) -> usize {
    eventually("somebody leads", async || {
        elections.leader().is_some_and(|leader| nodes[leader].models.is_leading())
    })
    .await;
    elections.leader().unwrap()
}

/// Waits until everything was told, however often.
async fn all_told(bench: &Bench) {
    let all = bench.log.all();
    // A reader's mark is not told once the reader has left.
    let must = |position: &u64| all[*position as usize - 1].event_type != "ReadCursorAdvanced";
    let must: BTreeSet<u64> = told(&bench.log).into_iter().filter(must).collect();
    eventually("all pushes", async || {
        bench.broadcast.positions().into_iter().collect::<BTreeSet<_>>().is_superset(&must)
    })
    .await;
}

async fn every_node_knows_and_closes(backend: Backend) {
    let bench = Bench::new(backend);
    let elections = Elections::new();
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let nodes = nodes(&bench, &elections, 3).await;
    let leader = led(&elections, &nodes).await;
    for number in 0..30 {
        world.send(world.room(0), world.member(number));
        bench.log.write(world.take());
        let (node, head) = (&nodes[number % 3].models, bench.log.len());
        assert_eq!(node.is_leading(), number % 3 == leader);
        assert!(node.positions().wait_for(head, LIMIT).await);
        let newest = node.history().messages(world.room(0), Range::Newest, 1).await.unwrap();
        assert_eq!(newest[0].seq, number as u64 + 1, "what was waited for is there, on every node");
    }
    // Nobody waits: it is noticed all the same.
    world.send(world.room(0), world.member(0));
    bench.log.write(world.take());
    for node in &nodes {
        let mut applied = node.models.applied();
        let head = bench.log.len();
        tokio::time::timeout(LIMIT, applied.wait_for(|applied| *applied == head)).await.unwrap().unwrap();
    }
    assert!(!nodes[(leader + 1) % 3].models.positions().wait_for(bench.log.len() + 1, Duration::ZERO).await);
    for node in nodes {
        node.stop().await;
    }
    assert_eq!(elections.leader(), None, "who stops gives the lead back");
}

async fn another_one_takes_over(backend: Backend) {
    let bench = Bench::new(backend);
    let elections = Elections::new();
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    let nodes = nodes(&bench, &elections, 3).await;
    let mut longest = Duration::ZERO;
    for round in 1..=6 {
        let leader = led(&elections, &nodes).await;
        assert!(nodes[leader].models.positions().wait_for(round * 100, LIMIT).await);
        let begun = Instant::now();
        elections.depose(leader);
        let head = bench.log.len() + 1;
        let other = &nodes[(leader + 1) % 3].models;
        assert!(other.positions().wait_for(head, LIMIT).await);
        longest = longest.max(begun.elapsed());
        eventually("the deposed one has noticed", async || !nodes[leader].models.is_leading()).await;
        elections.readmit(leader);
    }
    println!("{backend:?}: another one had taken over after {longest:?} at most");
    assert!(longest < Duration::from_secs(5));
    stop.cancel();
    talking.await.unwrap();
    for node in &nodes {
        bench.settle(&node.models).await;
    }
    assert_verified(&nodes[0].models).await;
    all_told(&bench).await;
}

async fn one_who_is_deposed_while_writing_writes_nothing_twice(backend: Backend) {
    let bench = Bench::new(backend);
    let elections = Elections::new();
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let nodes = nodes(&bench, &elections, 2).await;
    let leader = led(&elections, &nodes).await;
    bench.settle(&nodes[leader].models).await;
    // In its way: on SQLite at the beginning of its transaction, on MySQL after the checkpoints.
    let vandal = tables::connect(&bench).await;
    let txn = vandal.begin().await.unwrap();
    txn.execute_unprepared("UPDATE unread_heads_v1 SET last_seq = last_seq").await.unwrap();
    world.act(&Act::Send { room: 0, member: 0 });
    world.act(&Act::Join { room: 0, member: 1 });
    world.act(&Act::Leave { room: 1, member: 2 });
    bench.log.write(world.take());
    assert!(
        !nodes[leader].models.positions().wait_for(bench.log.len(), Duration::from_millis(300)).await,
        "it writes, and can't go on"
    );
    elections.depose(leader);
    eventually("the other one leads", async || nodes[1 - leader].models.is_leading()).await;
    txn.rollback().await.unwrap();
    bench.settle(&nodes[1 - leader].models).await;
    bench.settle(&nodes[leader].models).await;
    assert_verified(&nodes[leader].models).await;
    all_told(&bench).await;
}

async fn who_only_believe_to_lead_apply_each_event_once(backend: Backend) {
    let bench = Bench::new(backend);
    let stop = CancellationToken::new();
    let talking = talk(bench.log.clone(), World::populated(6, 3), stop.clone());
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(Running::new(bench.join(Usurper::leadership()).await));
    }
    for round in 1..=12_u64 {
        // Killed wherever it is, and another one put in its place.
        running.remove(0).kill().await;
        running.push(Running::new(bench.join(Usurper::leadership()).await));
        assert!(running[0].models.positions().wait_for(round * 60, LIMIT).await);
    }
    stop.cancel();
    talking.await.unwrap();
    for one in &running {
        bench.settle(&one.models).await;
    }
    assert_verified(&running[0].models).await;
    all_told(&bench).await;
}

async fn what_was_not_told_is_told_by_the_next_one_though_nothing_follows(backend: Backend) {
    let bench = Bench::new(backend);
    let elections = Elections::new();
    let mut world = World::populated(2, 1);
    bench.log.write(world.take());
    let nodes = nodes(&bench, &elections, 2).await;
    let leader = led(&elections, &nodes).await;
    bench.settle(&nodes[leader].models).await;
    eventually("the beginning is told", async || bench.broadcast.positions() == told(&bench.log)).await;
    // The last thing said in a room that then falls silent: applied, and not told when its leader goes.
    *bench.broadcast.refusals.lock().unwrap() = u32::MAX;
    world.send(world.room(0), world.member(0));
    bench.log.write(world.take());
    bench.settle(&nodes[leader].models).await;
    elections.depose(leader);
    eventually("the other one leads", async || nodes[1 - leader].models.is_leading()).await;
    *bench.broadcast.refusals.lock().unwrap() = 0;
    all_told(&bench).await;
}

async fn what_was_told_is_written_down_though_nothing_follows(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(2, 1);
    for n in 0..50 {
        world.send(world.room(0), world.member(n));
    }
    bench.log.write(world.take());
    let running = Running::new(bench.join(Usurper::leadership()).await);
    bench.settle(&running.models).await;
    let saved = "SELECT MIN(published) FROM projection_checkpoints";
    let head = bench.log.len() as i64;
    eventually("it is written down", async || tables::number(&bench, saved).await == head).await;
    let so_far = bench.broadcast.positions().len();
    running.kill().await;
    let running = Running::new(bench.join(Usurper::leadership()).await);
    world.send(world.room(0), world.member(0));
    bench.log.write(world.take());
    eventually("the next push", async || bench.broadcast.positions().last() == Some(&bench.log.len())).await;
    assert_eq!(bench.broadcast.positions().len(), so_far + 1, "nothing is told again");
    drop(running);
}

async fn in_a_cluster_a_long_silence_is_made_up_for(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(2, 1);
    bench.log.write(world.take());
    let running = Running::new(bench.join(Usurper::leadership()).await);
    bench.settle(&running.models).await;
    eventually("the beginning is told", async || bench.broadcast.positions() == told(&bench.log)).await;
    running.stop().await;
    // Other nodes go on meanwhile, with people who listen.
    for n in 0..12_000 {
        world.send(world.room(0), world.member(n));
    }
    bench.log.write(world.take());
    let running = Running::new(bench.join(Usurper::leadership()).await);
    bench.settle(&running.models).await;
    eventually("all pushes", async || bench.broadcast.positions() == told(&bench.log)).await;
}

async fn nobody_leads_while_that_cannot_be_found_out(backend: Backend) {
    let bench = Bench::new(backend);
    let elections = Elections::new();
    elections.set_broken(true);
    let mut world = World::populated(2, 1);
    bench.log.write(world.take());
    let nodes = nodes(&bench, &elections, 2).await;
    assert!(!nodes[0].models.positions().wait_for(1, Duration::from_millis(700)).await);
    assert!(!nodes[0].models.is_leading() && !nodes[1].models.is_leading());
    elections.set_broken(false);
    bench.settle(&nodes[0].models).await;
    bench.settle(&nodes[1].models).await;
}

async fn set_schema_version(bench: &Bench, version: i32) {
    let sql = format!("UPDATE projection_checkpoints SET schema_version = {version} WHERE name = 'members'");
    tables::execute(bench, &sql).await;
}

async fn is_closed(models: &ReadModels, world: &World) -> bool {
    matches!(models.members().member(world.member(0)).await, Err(ReadError::Unavailable(_)))
}

async fn an_older_release_is_left_behind_and_a_newer_one_left_alone(backend: Backend) {
    let bench = Bench::new(backend);
    let elections = Elections::new();
    let mut world = World::populated(3, 2);
    bench.log.write(world.take());
    let first = Running::new(bench.join(elections.candidate(0)).await);
    bench.settle(&first.models).await;
    first.stop().await;
    set_schema_version(&bench, 0).await;
    let nodes = nodes(&bench, &elections, 2).await;
    for node in &nodes {
        eventually("filled anew, and every node knows", async || node.models.closed().is_empty()).await;
    }
    bench.settle(&nodes[0].models).await;
    assert_verified(&nodes[1].models).await;

    // A release to come has filled it anew: its tables are not for this one.
    set_schema_version(&bench, 7).await;
    let version = "SELECT MAX(latest_version) FROM projections";
    let before = tables::number(&bench, version).await;
    elections.depose_leader();
    for node in &nodes {
        eventually("every node keeps off", async || node.models.closed() == ["members"]).await;
        assert!(is_closed(&node.models, &world).await);
    }
    world.act(&Act::Send { room: 0, member: 0 });
    bench.log.write(world.take());
    let others = "SELECT MIN(position) FROM projection_checkpoints WHERE name <> 'members' AND version = 1";
    let head = bench.log.len() as i64;
    eventually("the others go on", async || tables::number(&bench, others).await == head).await;
    assert_eq!(tables::number(&bench, version).await, before, "two releases would take turns for ever");
}

on_each_database! {
    every_node_knows_and_closes,
    another_one_takes_over,
    one_who_is_deposed_while_writing_writes_nothing_twice,
    who_only_believe_to_lead_apply_each_event_once,
    what_was_not_told_is_told_by_the_next_one_though_nothing_follows,
    what_was_told_is_written_down_though_nothing_follows,
    in_a_cluster_a_long_silence_is_made_up_for,
    nobody_leads_while_that_cannot_be_found_out,
    an_older_release_is_left_behind_and_a_newer_one_left_alone,
}
