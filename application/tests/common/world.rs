//! Nodes on one log: each has a bus and an app of its own, as two processes would.

use super::{
    FakeLog, Tally,
    clock::{Counter, Ticks},
    identity::Identity,
    reads::Reads,
    within,
};
use std::sync::Arc;
use uuid::Uuid;
use verbatim_application::{
    App, Context,
    bus::{Bus, BusTasks, Limits},
    commands::PendingSend,
};
use verbatim_domain::{
    MemberId, RoomId,
    text::{IdempotencyKey, MessageBody, RoomName},
};

/// One shard, so that all commands of a test meet in one batch.
pub(crate) fn one_shard() -> Limits {
    Limits { shards: 1, ..Limits::default() }
}

/// What the nodes share.
pub(crate) struct World {
    pub(crate) log: Arc<FakeLog>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) reads: Arc<Reads>,
    clock: Arc<Ticks>,
    ids: Arc<Counter>,
}

/// One process.
pub(crate) struct Node {
    pub(crate) app: Arc<App>,
    pub(crate) tally: Arc<Tally>,
    tasks: BusTasks,
}

impl World {
    pub(crate) fn new() -> Self {
        let log = Arc::new(FakeLog::default());
        Self {
            reads: Arc::new(Reads::of(log.clone())),
            log,
            identity: Arc::default(),
            clock: Arc::default(),
            ids: Arc::default(),
        }
    }

    /// A world and its only node, with one shard.
    pub(crate) fn with_node() -> (Self, Node) {
        let world = Self::new();
        let node = world.node(one_shard());
        (world, node)
    }

    /// Starts a process.
    pub(crate) fn node(&self, limits: Limits) -> Node {
        let tally = Arc::new(Tally::default());
        let (bus, tasks) = Bus::start_within(limits, self.log.clone(), self.clock.clone(), tally.clone());
        let app = App {
            bus,
            log: self.log.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            passwords: self.identity.clone(),
            tokens: self.identity.clone(),
            sessions: self.identity.clone(),
            logins: self.identity.clone(),
            tickets: self.identity.clone(),
            history: self.reads.clone(),
            rooms: self.reads.clone(),
            members: self.reads.clone(),
            unread: self.reads.clone(),
            positions: self.reads.clone(),
        };
        Node { app: Arc::new(app), tally, tasks }
    }
}

impl Node {
    /// Opens a room that these members are in, the first as its owner.
    pub(crate) async fn room_of(&self, members: &[MemberId]) -> RoomId {
        let (owner, others) = members.split_first().expect("a room has an owner");
        let name = RoomName::parse("kitchen").expect("a name");
        let room = within(self.app.create_room(*owner, name, Context::default())).await;
        let room = room.expect("the room opens").value.room_id;
        for other in others {
            within(self.app.join_room(*other, room, Context::default())).await.expect("they join");
        }
        room
    }

    /// Queues a message.
    pub(crate) fn send(&self, sender: MemberId, room: RoomId, text: &str) -> PendingSend {
        self.app.begin_send(sender, room, body(text), Context::default()).expect("it is queued")
    }

    /// Queues a message with a key.
    pub(crate) fn send_once(&self, sender: MemberId, room: RoomId, text: &str, once: &str) -> PendingSend {
        self.app.begin_send(sender, room, body(text), key(once)).expect("it is queued")
    }

    /// Sends a message; gives its number.
    pub(crate) async fn say(&self, sender: MemberId, room: RoomId, text: &str) -> u64 {
        within(self.send(sender, room, text).wait()).await.expect("it is sent").value.seq
    }

    /// Stops: ends when all that was accepted is answered.
    pub(crate) async fn stop(self) {
        drop(self.app);
        within(self.tasks.finished()).await;
    }
}

/// A member that needs no account.
pub(crate) fn member(n: u128) -> MemberId {
    MemberId::from_uuid(Uuid::from_u128(n))
}

/// A message.
pub(crate) fn body(text: &str) -> MessageBody {
    MessageBody::parse(text).expect("a message")
}

/// A context with an idempotency key.
pub(crate) fn key(text: &str) -> Context {
    Context { idempotency_key: Some(IdempotencyKey::parse(text).expect("a key")), ..Context::default() }
}
