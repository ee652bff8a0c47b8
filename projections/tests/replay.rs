//! What was told can be told again, and whoever hears of one stretch sees whether one is missing before it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    Backend, Bench, eventually, told,
    world::{Act, World},
};
use std::sync::Arc;
use verbatim_application::{
    ports::Replay,
    push::{Change, Push},
};

/// Everything, a few events at a time.
async fn all(replay: &Arc<dyn Replay>, limit: usize) -> (Vec<Push>, u64) {
    let (mut pushes, mut upto) = (Vec::new(), 0);
    loop {
        let replayed = replay.replay(upto, limit).await.unwrap();
        assert!(replayed.upto - upto <= limit as u64);
        assert!(replayed.pushes.iter().all(|push| push.position > upto && push.position <= replayed.upto));
        if replayed.upto == upto {
            return (pushes, upto);
        }
        pushes.extend(replayed.pushes);
        upto = replayed.upto;
    }
}

/// What does not depend on when it is asked for.
fn lasting(pushes: &[Push]) -> Vec<Push> {
    pushes.iter().filter(|push| !matches!(push.change, Change::Read { .. })).cloned().collect()
}

async fn what_was_told_is_told_again(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(4, 3);
    let running = bench.start().await;
    for n in 0..40 {
        world.send(world.room(n), world.member(n));
        if n % 5 == 0 {
            world.act(&Act::Edit { room: n, member: n, seq: 0 });
            world.act(&Act::Read { room: n, member: n + 1, seq: 1 });
        }
        bench.log.write(world.take());
        bench.settle(&running.models).await;
    }
    eventually("the last push", async || bench.broadcast.positions() == told(&bench.log)).await;
    let taken = bench.broadcast.taken.lock().unwrap().clone();
    let replay = running.models.replay();
    assert_eq!(replay.applied().await.unwrap(), bench.log.len());
    for limit in [1, 7, 10_000] {
        let (pushes, upto) = all(&replay, limit).await;
        assert_eq!(upto, bench.log.len());
        let positions = |pushes: &[Push]| pushes.iter().map(|push| push.position).collect::<Vec<_>>();
        assert_eq!(positions(&pushes), positions(&taken));
        assert_eq!(lasting(&pushes), lasting(&taken));
    }
}

async fn nothing_is_told_that_can_not_be_read(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::populated(2, 1);
    bench.log.write(world.take());
    let models = bench.open().await;
    let replay = models.replay();
    assert_eq!(replay.applied().await.unwrap(), 0);
    let replayed = replay.replay(0, 100).await.unwrap();
    assert_eq!((replayed.pushes.as_slice(), replayed.upto), ([].as_slice(), 0));

    let running = bench.start().await;
    bench.settle(&running.models).await;
    running.stop().await;
    let applied = bench.log.len();
    world.send(world.room(0), world.member(0));
    bench.log.write(world.take());
    // As it is on a node where the runner does not run.
    assert_eq!(replay.applied().await.unwrap(), applied);
    let (_, upto) = all(&replay, 1_000).await;
    assert_eq!(upto, applied);
}

async fn stretches_follow_each_other_also_without_changes(backend: Backend) {
    let bench = Bench::new(backend);
    let mut world = World::default();
    let running = bench.start().await;
    for n in 0..20 {
        world.act(&Act::Register);
        if n % 4 == 3 {
            world.act(&Act::Create { member: n });
        }
        bench.log.write(world.take());
        bench.settle(&running.models).await;
    }
    let stretches = || bench.broadcast.stretches.lock().unwrap().clone();
    let last = || stretches().last().map(|(_, upto)| *upto);
    eventually("the last stretch", async || last() == Some(bench.log.len())).await;
    let mut end = 0;
    for (after, upto) in stretches() {
        assert!(after == end && upto > after, "from {after} to {upto}, after {end}");
        end = upto;
    }
}

on_each_database! {
    what_was_told_is_told_again,
    nothing_is_told_that_can_not_be_read,
    stretches_follow_each_other_also_without_changes,
}
