//! [`Broadcast`] between nodes, by Redis Pub/Sub.
//!
//! Redis is the fast path and keeps nothing. Every stretch of the log that is published says where it begins and ends,
//! so a node sees when it has missed one, and what it has missed it replays from the read models ([`Replay`]). While Redis
//! is away, a node replays all the time. So whatever becomes of Redis, a hub gets each change it asked for once, in log
//! order.
//!
//! A node has one connection that publishes and one that subscribes (on a Redis Cluster one to each server). It
//! subscribes to the channels of those rooms and members that somebody here is interested in; changes wait there until
//! the control message of their stretch says that all of it was sent.

mod backoff;
mod health;
mod hearing;
mod inbox;
mod link;
mod publisher;
mod receiver;
mod servers;
mod table;
mod window;
mod wire;

use crate::broadcast::{BROADCAST_CAPACITY, FanOut, Memory};
use async_trait::async_trait;
use health::Health;
use publisher::Publisher;
use receiver::Receiver;
use servers::Servers;
use std::{
    // The std mutex: it is held to take the tasks out.
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use table::Table;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    ports::{Broadcast, BroadcastError, Interest, Listening, PushStream, Replay, Stretch},
    push::Push,
};

/// The longest the end may take: what waits is sent first.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What the broadcast tells about itself, for metrics.
pub trait RedisObserver: Send + Sync + 'static {
    /// A stretch, or a piece of a long one, with so many changes was taken by Redis.
    fn published(&self, changes: usize);
    /// So many changes were not sent, because Redis could not take them.
    fn left_out(&self, changes: usize);
    /// So many changes came over Redis.
    fn received(&self, changes: usize);
    /// Something did not come that should have.
    fn hole(&self);
    /// So many changes were read again from the read models, whether somebody here is interested in them or not.
    fn replayed(&self, changes: usize);
    /// Too much was missed to be told again; the hub reads the read models instead.
    fn missed(&self);
    /// Redis is back.
    fn reconnected(&self);
    /// Whether it can be reached, when that changes.
    fn connected(&self, connected: bool);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnobservedRedis;

impl RedisObserver for UnobservedRedis {
    fn published(&self, _: usize) {}
    fn left_out(&self, _: usize) {}
    fn received(&self, _: usize) {}
    fn hole(&self) {}
    fn replayed(&self, _: usize) {}
    fn missed(&self) {}
    fn reconnected(&self) {}
    fn connected(&self, _: bool) {}
}

/// The URL names no Redis.
#[derive(Debug, thiserror::Error)]
#[error("not a URL of a Redis server or of the servers of a Redis Cluster")]
pub struct NotRedis(#[source] redis::RedisError);

/// Hands changes to the hubs of all nodes.
pub struct RedisBroadcast {
    table: Arc<Table>,
    fan_out: FanOut,
    health: Arc<Health>,
    publisher: Publisher,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl RedisBroadcast {
    /// Connects in the background, and again whenever it must; a Redis that is away is no failure. Nothing is handed on
    /// before [`Self::replay_from`].
    ///
    /// `url` is `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS. Of a Redis Cluster one server
    /// is enough, and several may be named, with commas in between: the first that answers is asked for the others.
    /// Services that share a Redis must take different databases.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn start(url: &str, observer: Arc<dyn RedisObserver>) -> Result<Arc<Self>, NotRedis> {
        let servers = Servers::parse(url).map_err(NotRedis)?;
        let stop = CancellationToken::new();
        let table = Arc::new(Table::default());
        let fan_out = FanOut::new(BROADCAST_CAPACITY, Arc::new(Memory::default()));
        let health = Arc::new(Health::new(observer.clone()));
        let (publisher, sending) = publisher::publisher(servers.clone(), health.clone(), observer.clone());
        let receiver = Receiver::new(servers, table.clone(), fan_out.clone(), health.clone(), observer);
        let tasks = vec![tokio::spawn(sending.run(stop.clone())), tokio::spawn(receiver.run(stop.clone()))];
        Ok(Arc::new(Self { table, fan_out, health, publisher, stop, tasks: Mutex::new(tasks) }))
    }

    /// Says what is told again from. Only the first one counts.
    pub fn replay_from(&self, replay: Arc<dyn Replay>) {
        self.fan_out.memory().replay_from(replay);
    }

    /// Whether Redis can be reached, to publish and to subscribe.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.health.is_connected()
    }

    /// How many of the two work: the one that publishes, and the one that subscribes.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.health.connections()
    }

    /// Sends what waits to be sent, and ends; from then on nothing is published and nothing is heard.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let abort = task.abort_handle();
            if timeout(STOP_LIMIT, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for RedisBroadcast {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Broadcast for RedisBroadcast {
    /// Never waits, and never fails: what Redis can't take is left out, and the nodes notice.
    async fn publish(&self, stretch: Stretch) -> Result<(), BroadcastError> {
        self.publisher.publish(stretch);
        Ok(())
    }

    /// Never waits, and never fails. While Redis is away, only this node hears of it.
    async fn publish_ephemeral(&self, push: Push) -> Result<(), BroadcastError> {
        if !self.table.is_up() {
            self.fan_out.ephemeral(push.clone());
        }
        self.publisher.publish_ephemeral(push);
        Ok(())
    }

    fn subscribe(&self) -> PushStream {
        Box::new(self.fan_out.subscribe())
    }

    fn listen(&self, interest: Interest) -> Arc<dyn Listening> {
        Arc::new(self.table.listen(interest))
    }
}
