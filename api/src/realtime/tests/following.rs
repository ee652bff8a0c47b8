//! The hub where changes come from other nodes, and only those that it has asked for.

use super::{LIMIT, ReadModel, World, heard, member, message, push, room, sent};
use crate::realtime::{Encoding, Hub, Inbox, UnobservedHub, outbox};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{sync::SetOnce, time::timeout};
use tokio_util::sync::CancellationToken;
use verbatim_application::{
    ports::{
        Broadcast, BroadcastError, Interest, Listening, PushStream, ReadError, Replay, Replayed, Stretch,
    },
    push::{Change, Membership, Push},
    views::MessageView,
};
use verbatim_domain::Timestamp;
use verbatim_infrastructure::LocalBroadcast;

/// Where an interest begins, once the test says so; `None` if it does not.
type Beginning = Arc<SetOnce<Option<u64>>>;

/// Nothing is followed before the test says so.
#[derive(Default)]
struct Radio(Mutex<HashMap<Interest, Beginning>>);

impl Radio {
    fn beginning(&self, interest: Interest) -> Beginning {
        self.0.lock().unwrap().entry(interest).or_default().clone()
    }

    fn begin(&self, interest: Interest, after: u64) {
        self.beginning(interest).set(Some(after)).unwrap();
    }
}

#[derive(Debug)]
struct Ear(Beginning);

#[async_trait]
impl Listening for Ear {
    fn after(&self) -> Option<u64> {
        self.0.get().copied().flatten()
    }

    async fn begun(&self) -> Result<u64, BroadcastError> {
        self.0.wait().await.ok_or_else(|| BroadcastError("told to fail".into()))
    }
}

#[async_trait]
impl Broadcast for Radio {
    async fn publish(&self, _: Stretch) -> Result<(), BroadcastError> {
        Ok(())
    }

    async fn publish_ephemeral(&self, _: Push) -> Result<(), BroadcastError> {
        Ok(())
    }

    fn subscribe(&self) -> PushStream {
        LocalBroadcast::new().subscribe()
    }

    fn listen(&self, interest: Interest) -> Arc<dyn Listening> {
        Arc::new(Ear(self.beginning(interest)))
    }
}

fn tuned() -> (World, Arc<Radio>) {
    let (model, radio) = (Arc::new(ReadModel::default()), Arc::new(Radio::default()));
    let hub = Hub::new(radio.clone(), model.clone(), model.clone(), Arc::new(UnobservedHub));
    (World { model, hub }, radio)
}

impl World {
    fn at(&self, position: u64) {
        *self.model.position.lock().unwrap() = position;
    }
}

async fn next(inbox: &mut Inbox, field: &str) -> Vec<u64> {
    assert!(timeout(LIMIT, inbox.ready()).await.unwrap());
    heard(inbox, field)
}

fn joined(position: u64) -> Push {
    let membership = Membership {
        member_id: member(1),
        display_name: "Ben".to_owned(),
        by: None,
        last_seq: 1,
        at: Timestamp::UNIX_EPOCH,
    };
    push(position, Change::Joined(membership))
}

#[tokio::test]
async fn a_subscription_waits_until_its_room_is_followed() {
    let (world, radio) = tuned();
    let (hub, (out, _inbox)) = (world.hub.clone(), outbox());
    let subscribing =
        tokio::spawn(async move { hub.subscribe_room(room(), member(1), Encoding::Sse, 0, out).await });
    tokio::task::yield_now().await;
    assert!(!subscribing.is_finished());
    radio.begin(Interest::Room(room()), 5);
    assert!(timeout(LIMIT, subscribing).await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn what_can_not_be_followed_is_not_subscribed_to() {
    let (world, radio) = tuned();
    radio.beginning(Interest::Room(room())).set(None).unwrap();
    let (out, _inbox) = outbox();
    let refused = world.hub.subscribe_room(room(), member(1), Encoding::Sse, 0, out).await;
    assert!(refused.is_err());
    radio.beginning(Interest::Member(member(1))).set(None).unwrap();
    let (out, _inbox) = outbox();
    assert!(world.hub.subscribe_member(member(1), Encoding::Sse, 0, out).await.is_err());
}

/// Whoever comes into a room that nobody here listened to hears of what was said there before this node did.
#[tokio::test]
async fn what_was_said_before_a_room_was_followed_is_counted() {
    let (world, radio) = tuned();
    world.at(10);
    radio.begin(Interest::Member(member(1)), 10);
    let (out, mut counts) = outbox();
    let _own = world.hub.subscribe_member(member(1), Encoding::Sse, 0, out).await.unwrap();
    world.dispatch(8, vec![vec![joined(20), sent(5)]]).await;
    assert_eq!(next(&mut counts, "last_seq").await, [1, 1], "that one is in, and that nothing is unread yet");
    // Two messages came before the room was followed, at 30 and 40. Counts without the one at 50 would be too old.
    world.counts(member(1), 3, 5);
    world.at(55);
    radio.begin(Interest::Room(room()), 42);
    assert_eq!(next(&mut counts, "unread").await, [3]);
    world.dispatch(8, vec![vec![sent(6)]]).await;
    assert_eq!(heard(&mut counts, "unread"), [4]);
}

/// The rooms of a member are followed from a position that is in the counts, or the counts are read again.
#[tokio::test]
async fn counts_read_before_their_rooms_were_followed_are_read_again() {
    let (world, radio) = tuned();
    world.counts(member(1), 2, 3);
    world.at(30);
    radio.begin(Interest::Member(member(1)), 10);
    let (hub, (out, mut counts)) = (world.hub.clone(), outbox());
    let subscribing =
        tokio::spawn(async move { hub.subscribe_member(member(1), Encoding::Sse, 0, out).await });
    timeout(LIMIT, world.model.asked.notified()).await.unwrap();
    tokio::task::yield_now().await;
    world.counts(member(1), 4, 5);
    world.at(50);
    radio.begin(Interest::Room(room()), 50);
    let _own = timeout(LIMIT, subscribing).await.unwrap().unwrap().unwrap();
    assert_eq!(heard(&mut counts, "unread"), [4]);
    world.dispatch(8, vec![vec![sent(5), sent(6)]]).await;
    assert_eq!(heard(&mut counts, "unread"), [5]);
}

/// They may be kept elsewhere than what is pushed comes from.
#[tokio::test]
async fn counts_older_than_what_was_handed_on_are_read_again() {
    let (world, radio) = tuned();
    for interest in [Interest::Member(member(1)), Interest::Room(room())] {
        radio.begin(interest, 0);
    }
    // Somebody listens, so that it is handed on.
    let (_kept, mut inbox) = world.listen(member(2)).await;
    world.dispatch(8, vec![vec![sent(5)]]).await;
    assert_eq!(heard(&mut inbox, "seq"), [5]);
    world.counts(member(1), 1, 1);
    world.at(10);
    let (hub, (out, mut counts)) = (world.hub.clone(), outbox());
    let subscribing =
        tokio::spawn(async move { hub.subscribe_member(member(1), Encoding::Sse, 0, out).await });
    timeout(LIMIT, world.model.asked.notified()).await.unwrap();
    world.counts(member(1), 5, 5);
    world.at(50);
    let _own = timeout(LIMIT, subscribing).await.unwrap().unwrap().unwrap();
    assert_eq!(heard(&mut counts, "unread"), [5]);
}

/// What was pushed.
struct Past(Vec<Push>);

#[async_trait]
impl Replay for Past {
    async fn applied(&self) -> Result<u64, ReadError> {
        Ok(self.0.last().map_or(0, |push| push.position))
    }

    async fn replay(&self, after: u64, limit: usize) -> Result<Replayed, ReadError> {
        let pushes: Vec<_> =
            self.0.iter().filter(|push| push.position > after).take(limit).cloned().collect();
        Ok(Replayed { upto: pushes.last().map_or(after, |push| push.position), pushes })
    }
}

/// Not only messages: edits and deletions too, and each once.
#[tokio::test]
async fn a_hub_that_fell_behind_is_told_all_of_it() {
    let world = World::new();
    let (_kept, mut inbox) = world.listen(member(1)).await;
    let mut past: Vec<_> = (1..=9).map(sent).collect();
    let edited = MessageView { body: "something else".to_owned(), ..message(2) };
    past.insert(4, push(45, Change::Edited(edited)));
    let broadcast = LocalBroadcast::with_capacity(2);
    broadcast.replay_from(Arc::new(Past(past.clone())));
    let stream = broadcast.subscribe();
    let mut after = 0;
    for push in past {
        let upto = push.position;
        broadcast.publish(Stretch { after, upto, pushes: vec![push] }).await.unwrap();
        after = upto;
    }
    drop(broadcast);
    timeout(LIMIT, world.hub.clone().dispatch_from(stream, CancellationToken::new())).await.unwrap();
    assert_eq!(heard(&mut inbox, "seq"), [1, 2, 3, 4, 2, 5, 6, 7, 8, 9]);
}
