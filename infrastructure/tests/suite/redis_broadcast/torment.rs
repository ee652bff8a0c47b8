//! Everything goes wrong, at random.

use super::node::{LIMIT, Node, event, member};
use crate::{contract::broadcast::room, told::Told};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use verbatim_application::ports::{Broadcast, Interest, Stretch};
use verbatim_servers::{Proxy, Redis};

const ROOMS: u128 = 12;
const STEPS: usize = 3_000;

struct World {
    random: StdRng,
    redis: Redis,
    told: Arc<Told>,
    nodes: Vec<(Node, Proxy)>,
    /// Which node publishes.
    runner: usize,
    /// Stretches that a new runner may repeat.
    recent: Vec<Stretch>,
    /// When what is broken is mended.
    mend_at: Option<Instant>,
    redis_is_dead: bool,
    faults: usize,
}

impl World {
    async fn start(seed: u64) -> Self {
        let redis = Redis::start();
        let told = Arc::new(Told::default());
        let mut nodes = Vec::new();
        for _ in 0..2 {
            let proxy = Proxy::start(redis.port());
            let node = Node::start(&format!("redis://127.0.0.1:{}/", proxy.port()), told.clone()).await;
            nodes.push((node, proxy));
        }
        Self {
            random: StdRng::seed_from_u64(seed),
            redis,
            told,
            nodes,
            runner: 0,
            recent: Vec::new(),
            mend_at: None,
            redis_is_dead: false,
            faults: 0,
        }
    }

    fn interest(&mut self) -> Interest {
        let n = self.random.random_range(1..=ROOMS);
        if self.random.random_bool(0.3) { Interest::Member(member(n)) } else { Interest::Room(room(n)) }
    }

    async fn tell(&mut self) {
        let after = self.told.head();
        let upto = after + self.random.random_range(1..12);
        let (rooms, random) = (1..=ROOMS, &mut self.random);
        let pushes = (after + 1..=upto)
            .flat_map(|position| event(position, random.random_range(rooms.clone()), random.random()))
            .collect();
        let stretch = Stretch { after, upto, pushes };
        self.told.apply(&stretch);
        // Now and then the runner dies in between, and its successor repeats.
        if self.random.random_bool(0.97) {
            self.nodes[self.runner].0.broadcast.publish(stretch.clone()).await.unwrap();
        }
        self.recent.push(stretch);
        if self.recent.len() > 8 {
            self.recent.remove(0);
        }
    }

    /// Another node becomes the runner; it repeats some of what was told, in other stretches.
    async fn take_over(&mut self) {
        self.runner = self.random.random_range(0..self.nodes.len());
        let from = self.random.random_range(0..=self.recent.len());
        let mut whole: Option<Stretch> = None;
        for stretch in self.recent[from..].iter().cloned() {
            match &mut whole {
                Some(whole) => {
                    whole.upto = stretch.upto;
                    whole.pushes.extend(stretch.pushes);
                }
                None => whole = Some(stretch),
            }
        }
        if let Some(whole) = whole {
            self.nodes[self.runner].0.broadcast.publish(whole).await.unwrap();
        }
    }

    fn change_interests(&mut self) -> (usize, Interest, bool) {
        let node = self.random.random_range(0..self.nodes.len());
        let interest = self.interest();
        let listens = self.nodes[node].0.interests().contains(&interest);
        (node, interest, listens)
    }

    fn break_something(&mut self) {
        self.faults += 1;
        let node = self.random.random_range(0..self.nodes.len());
        let proxy = &self.nodes[node].1;
        match self.random.random_range(0..8) {
            0 | 1 => proxy.sever(),
            2 => {
                let _ = self.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            }
            3 => {
                let _ = self.redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            4 => {
                let _ = self.redis.cli(&["FLUSHALL"]);
            }
            5 => {
                self.redis.kill_9();
                self.redis_is_dead = true;
                self.mend_in(100..1_500);
            }
            6 => {
                self.told.away.store(true, Ordering::SeqCst);
                self.mend_in(50..800);
            }
            _ => {
                proxy.cut();
                self.mend_in(100..3_500);
            }
        }
    }

    fn mend_in(&mut self, milliseconds: std::ops::Range<u64>) {
        let pause = Duration::from_millis(self.random.random_range(milliseconds));
        self.mend_at = Some(Instant::now() + pause);
    }

    fn mend(&mut self) {
        self.mend_at = None;
        if std::mem::take(&mut self.redis_is_dead) {
            self.redis.start_again();
        }
        self.told.away.store(false, Ordering::SeqCst);
        for (_, proxy) in &self.nodes {
            proxy.heal();
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..70 => self.tell().await,
            70..92 => {
                let (node, interest, listens) = self.change_interests();
                let node = &self.nodes[node].0;
                if listens {
                    node.leave(interest);
                } else {
                    node.listen(interest).await;
                }
            }
            92..95 => self.take_over().await,
            _ if self.mend_at.is_none() => self.break_something(),
            _ => {}
        }
        if self.mend_at.is_some_and(|at| at <= Instant::now()) {
            self.mend();
        }
        if self.random.random_bool(0.2) {
            let pause = Duration::from_millis(self.random.random_range(1..40));
            // Lets the world go on; nothing is waited for.
            let mut heard = self.nodes[0].0.heard.subscribe();
            let _ = timeout(pause, heard.wait_for(|_| false)).await;
        }
    }

    async fn settle(&mut self) {
        self.mend();
        for (node, _) in &self.nodes {
            for n in 1..=ROOMS {
                let interest = Interest::Room(room(n));
                if !node.interests().contains(&interest) {
                    node.listen(interest).await;
                }
            }
        }
        let after = self.told.head();
        let last = Stretch { after, upto: after + 1, pushes: event(after + 1, 1, 7) };
        self.told.apply(&last);
        self.nodes[self.runner].0.broadcast.publish(last).await.unwrap();
        for (node, _) in &self.nodes {
            node.hears(after + 1).await;
            node.connected(true).await;
            node.check();
        }
    }
}

async fn torment(seed: u64) {
    eprintln!("seed {seed}");
    let mut world = World::start(seed).await;
    let began = Instant::now();
    for _ in 0..STEPS {
        world.step().await;
    }
    world.settle().await;
    eprintln!("{} events, {} faults in {:?}", world.told.head(), world.faults, began.elapsed());
    assert!(world.faults > 15 && began.elapsed() < 4 * LIMIT);
    for (node, _) in &world.nodes {
        eprintln!("{:?}", node.counters);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_nothing_is_lost_doubled_or_reordered() {
    let seed = std::env::var("VERBATIM_SEED").ok().and_then(|seed| seed.parse().ok());
    torment(seed.unwrap_or_else(rand::random)).await;
}
