//! Two nodes on one Redis.

use super::node::{Node, sent};
use crate::{contract::broadcast::room, told::Told};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use verbatim_application::ports::{Interest, Stretch};
use verbatim_servers::{Proxy, Redis};

/// What both listen to.
pub fn in_room() -> Interest {
    Interest::Room(room(1))
}

/// Redis behind a proxy.
pub fn url(proxy: &Proxy) -> String {
    format!("redis://127.0.0.1:{}/", proxy.port())
}

/// The next message in the room.
pub fn message(told: &Told) -> Stretch {
    let after = told.head();
    let pushes = vec![sent(after + 1, room(1), format!("message {after}"))];
    Stretch { after, upto: after + 1, pushes }
}

/// One node that publishes, and one behind a proxy that listens.
pub struct Pair {
    pub redis: Redis,
    pub proxy: Proxy,
    pub told: Arc<Told>,
    pub runner: Node,
    pub other: Node,
}

impl Pair {
    pub async fn start() -> Self {
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
    pub async fn tell(&self) -> Duration {
        let began = Instant::now();
        self.runner.tell(message(&self.told)).await;
        self.both_hear().await;
        began.elapsed()
    }

    /// Waits until both nodes have heard all that was told.
    pub async fn both_hear(&self) {
        let head = self.told.head();
        tokio::join!(self.runner.hears(head), self.other.hears(head));
    }

    pub fn check(&self) {
        self.runner.check();
        self.other.check();
    }
}

/// The room's channel.
pub fn channel() -> String {
    format!("verbatim:{{0.0}}:room:{}", room(1))
}
