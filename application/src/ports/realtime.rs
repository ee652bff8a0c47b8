//! Carrying projected changes to every node's hub.

use crate::push::Push;
use async_trait::async_trait;
use std::sync::Arc;
use verbatim_domain::{MemberId, RoomId};

/// A stretch of the log, with what its events changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// It begins after this position. A receiver that has not heard of everything up to here misses something.
    pub after: u64,
    /// The position of its last event.
    pub upto: u64,
    /// All changes of the events in between, in log order; none is fine.
    pub pushes: Vec<Push>,
}

/// What a hub takes from the broadcast.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// Changes, after all of those that came before.
    Changes(Arc<Vec<Push>>),
    /// Some changes did not arrive and are not told again: what they led to is in the read models.
    Missed {
        /// Nothing up to this position comes any more; 0 if that is not known.
        upto: u64,
    },
}

/// The changes that one hub takes.
#[async_trait]
pub trait PushSource: Send + 'static {
    /// Waits for the next ones; `None` once there will be no more. Changes that have a position come in log order, each
    /// once.
    async fn next(&mut self) -> Option<Delivery>;
}

/// The changes that one hub takes.
pub type PushStream = Box<dyn PushSource>;

/// What a hub wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Everything in a room but its readers' marks.
    Room(RoomId),
    /// A member's own comings and goings, and their own marks, in whatever room.
    Member(MemberId),
}

/// An interest of this node; letting go of it ends it.
#[async_trait]
pub trait Listening: std::fmt::Debug + Send + Sync + 'static {
    /// The log position after which no change is missed, once it is known.
    fn after(&self) -> Option<u64>;

    /// Waits until it is known. What the read models contain then goes at least as far, so whoever reads them after
    /// this has a whole picture: what is in them and what comes later.
    ///
    /// # Errors
    /// [`BroadcastError`]: it is not known in time.
    async fn begun(&self) -> Result<u64, BroadcastError>;
}

/// The changes could not be handed on. They are durable and projected all the same.
#[derive(Debug, thiserror::Error)]
#[error("the broadcast is not available")]
pub struct BroadcastError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// From the projection runner to the hubs of all nodes, this one included.
#[async_trait]
pub trait Broadcast: Send + Sync + 'static {
    /// Hands changes on, in this order. Repeating some after a crash is fine: nobody hears of them twice. It may leave
    /// out what it can't carry, if the nodes notice and make it good.
    ///
    /// # Errors
    /// [`BroadcastError`]; the caller tries again from the same position.
    async fn publish(&self, stretch: Stretch) -> Result<(), BroadcastError>;

    /// Hands something on that is not from the log and has position 0, to whoever can be reached now.
    ///
    /// # Errors
    /// [`BroadcastError`]; it is not worth trying again.
    async fn publish_ephemeral(&self, push: Push) -> Result<(), BroadcastError>;

    /// Changes from now on.
    fn subscribe(&self) -> PushStream;

    /// Asks for changes of a room or of a member: what nobody here is interested in need not come.
    fn listen(&self, interest: Interest) -> Arc<dyn Listening>;
}
