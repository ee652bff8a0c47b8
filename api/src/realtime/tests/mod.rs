//! The hub where changes come twice, late, or not at all.

mod following;

use super::{Encoding, Hub, Inbox, Payload, UnobservedHub, outbox};
use crate::stomp::Version;
use async_trait::async_trait;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use verbatim_application::{
    ports::{Broadcast, HistoryReader, Range, ReadError, Stretch, UnreadReader, UnreadSnapshot},
    push::{Change, Membership, Push},
    views::{MessageView, UnreadView},
};
use verbatim_domain::{MemberId, MessageId, RoomId, Timestamp};
use verbatim_infrastructure::LocalBroadcast;

const LIMIT: Duration = Duration::from_secs(10);

fn room() -> RoomId {
    RoomId::from_uuid(Uuid::from_u128(1))
}

fn member(n: u128) -> MemberId {
    MemberId::from_uuid(Uuid::from_u128(100 + n))
}

fn message(seq: u64) -> MessageView {
    MessageView {
        message_id: MessageId::from_uuid(Uuid::from_u128(u128::from(1_000 + seq))),
        room_id: room(),
        seq,
        sender_id: member(0),
        sender_name: "Ada".to_owned(),
        body: format!("message {seq}"),
        sent_at: Timestamp::UNIX_EPOCH,
        edited_at: None,
        deleted: false,
    }
}

fn push(position: u64, change: Change) -> Push {
    Push::new(position, room(), change)
}

fn sent(seq: u64) -> Push {
    push(seq * 10, Change::Sent(message(seq)))
}

/// A read model that holds what the test puts there.
#[derive(Default)]
struct ReadModel {
    messages: Mutex<Vec<MessageView>>,
    counts: Mutex<Vec<(MemberId, UnreadView)>>,
    position: Mutex<u64>,
    fails: Mutex<bool>,
    /// A read of counts waits here, if the test says so.
    gate: Mutex<Option<Arc<Notify>>>,
    asked: Notify,
}

impl ReadModel {
    fn check(&self) -> Result<(), ReadError> {
        if *self.fails.lock().unwrap() {
            return Err(ReadError::Unavailable("it fails".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl HistoryReader for ReadModel {
    async fn messages(&self, _: RoomId, range: Range, limit: usize) -> Result<Vec<MessageView>, ReadError> {
        self.check()?;
        let all = self.messages.lock().unwrap();
        Ok(match range {
            Range::After(after) => all.iter().filter(|m| m.seq > after).take(limit).cloned().collect(),
            Range::Newest => all.last().cloned().into_iter().collect(),
            Range::Before(_) => Vec::new(),
        })
    }

    async fn message(&self, _: RoomId, _: u64) -> Result<Option<MessageView>, ReadError> {
        Ok(None)
    }
}

#[async_trait]
impl UnreadReader for ReadModel {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        self.check()?;
        let all = self.counts.lock().unwrap();
        let wanted = all.iter().filter(|(whose, view)| *whose == member && rooms.contains(&view.room_id));
        Ok(wanted.map(|(_, view)| *view).collect())
    }

    async fn unread(&self, member: MemberId) -> Result<UnreadSnapshot, ReadError> {
        self.check()?;
        let snapshot = {
            let all = self.counts.lock().unwrap();
            let rooms = all.iter().filter(|(whose, _)| *whose == member).map(|(_, view)| *view).collect();
            UnreadSnapshot { position: *self.position.lock().unwrap(), rooms }
        };
        self.asked.notify_one();
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        Ok(snapshot)
    }
}

struct World {
    model: Arc<ReadModel>,
    hub: Arc<Hub>,
}

impl World {
    fn new() -> Self {
        let model = Arc::new(ReadModel::default());
        let broadcast = Arc::new(LocalBroadcast::new());
        let hub = Hub::new(broadcast, model.clone(), model.clone(), Arc::new(UnobservedHub));
        Self { model, hub }
    }

    async fn listen(&self, who: MemberId) -> (super::Subscription, Inbox) {
        let (outbox, inbox) = outbox();
        (self.hub.subscribe_room(room(), who, Encoding::Sse, 0, outbox).await.unwrap(), inbox)
    }

    fn counts(&self, who: MemberId, unread: u64, last_seq: u64) {
        let view = UnreadView { room_id: room(), unread, last_seq, read_seq: last_seq - unread };
        let mut all = self.model.counts.lock().unwrap();
        all.retain(|(whose, _)| *whose != who);
        all.push((who, view));
    }

    /// Hands batches on, to the last.
    async fn dispatch(&self, capacity: usize, batches: Vec<Vec<Push>>) {
        let broadcast = LocalBroadcast::with_capacity(capacity);
        let stream = broadcast.subscribe();
        for pushes in batches {
            let ends = |push: Option<&Push>| push.map_or(0, |push| push.position);
            let (after, upto) = (ends(pushes.first()).saturating_sub(1), ends(pushes.last()));
            broadcast.publish(Stretch { after, upto, pushes }).await.unwrap();
        }
        drop(broadcast);
        let done = self.hub.clone().dispatch_from(stream, CancellationToken::new());
        tokio::time::timeout(LIMIT, done).await.unwrap();
    }
}

fn json(payload: &Payload) -> Value {
    let Payload::Ready(text) = payload else { panic!("{payload:?}") };
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(data).unwrap()
}

/// All that has been queued, one field of it.
fn heard(inbox: &mut Inbox, field: &str) -> Vec<u64> {
    inbox.take(usize::MAX).iter().map(|item| json(&item.payload)[field].as_u64().unwrap()).collect()
}

async fn cut_off(inbox: &Inbox) {
    tokio::time::timeout(LIMIT, inbox.overflow().happened()).await.unwrap();
}

#[tokio::test]
async fn a_change_that_comes_twice_is_handed_on_once() {
    let world = World::new();
    let (_kept, mut inbox) = world.listen(member(1)).await;
    world.dispatch(8, vec![vec![sent(1), sent(2)], vec![sent(1), sent(2), sent(3)]]).await;
    assert_eq!(heard(&mut inbox, "seq"), [1, 2, 3]);
}

#[tokio::test]
async fn a_hole_is_filled_from_history() {
    let world = World::new();
    let (_kept, mut inbox) = world.listen(member(1)).await;
    world.model.messages.lock().unwrap().extend((1..=6).map(message));
    world.dispatch(8, vec![vec![sent(1)], vec![sent(5), sent(6)]]).await;
    assert_eq!(heard(&mut inbox, "seq"), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_hole_that_can_not_be_filled_is_told() {
    let world = World::new();
    let (_kept, mut inbox) = world.listen(member(1)).await;
    *world.model.fails.lock().unwrap() = true;
    world.dispatch(8, vec![vec![sent(1)], vec![sent(5)]]).await;
    assert_eq!(heard(&mut inbox, "seq"), [1]);
    cut_off(&inbox).await;
}

/// The broadcast kept fewer batches than came: messages are read from history, counts are read anew, and who was removed
/// meanwhile is cut off.
#[tokio::test]
async fn what_the_broadcast_lost_is_made_good() {
    let world = World::new();
    let (_stays, mut stays) = world.listen(member(1)).await;
    let (_removed, mut removed) = world.listen(member(2)).await;
    world.counts(member(1), 0, 1);
    *world.model.position.lock().unwrap() = 10;
    world.dispatch(8, vec![vec![sent(1)]]).await;
    let (own, mut counts) = outbox();
    let _own = world.hub.subscribe_member(member(1), Encoding::Sse, 0, own).await.unwrap();
    assert_eq!(heard(&mut counts, "unread"), [0]);
    world.model.messages.lock().unwrap().extend((1..=9).map(message));
    world.counts(member(1), 8, 9);
    *world.model.position.lock().unwrap() = 90;
    let gone = Membership {
        member_id: member(2),
        display_name: "Ben".to_owned(),
        by: None,
        last_seq: 5,
        at: Timestamp::UNIX_EPOCH,
    };
    let mut batches: Vec<_> = (2..=9).map(|seq| vec![sent(seq)]).collect();
    batches.insert(4, vec![push(51, Change::Left(gone))]);
    world.dispatch(2, batches).await;
    assert_eq!(heard(&mut stays, "seq"), (1..=9).collect::<Vec<_>>());
    cut_off(&removed).await;
    removed.close();
    assert_eq!(heard(&mut counts, "unread").last(), Some(&8));
    world.dispatch(8, vec![vec![sent(10)]]).await;
    assert_eq!(heard(&mut stays, "seq"), [10]);
    assert_eq!(heard(&mut counts, "unread"), [9]);
}

/// A change that is in the counts already, and whose push comes after they were read.
#[tokio::test]
async fn a_change_is_not_counted_twice() {
    let world = World::new();
    world.counts(member(1), 2, 3);
    *world.model.position.lock().unwrap() = 35;
    let (own, mut inbox) = outbox();
    let _own = world.hub.subscribe_member(member(1), Encoding::Sse, 0, own).await.unwrap();
    let deleted = push(35, Change::Deleted(MessageView { deleted: true, ..message(2) }));
    world.dispatch(8, vec![vec![sent(3), deleted], vec![sent(4), sent(5)]]).await;
    assert_eq!(heard(&mut inbox, "unread"), [2, 3, 4]);
}

/// Counts that were asked for and never waited for to the end must not stand in for those asked for later.
#[tokio::test]
async fn an_answer_that_comes_late_is_not_believed() {
    let world = World::new();
    let gate = Arc::new(Notify::new());
    *world.model.gate.lock().unwrap() = Some(gate.clone());
    world.counts(member(1), 1, 1);
    let asking = tokio::spawn({
        let hub = world.hub.clone();
        async move {
            let (own, _inbox) = outbox();
            hub.subscribe_member(member(1), Encoding::Sse, 0, own).await.is_ok()
        }
    });
    tokio::time::timeout(LIMIT, world.model.asked.notified()).await.unwrap();
    // The first client goes away while its counts are read; another comes, and the world has moved on.
    asking.abort();
    assert!(asking.await.is_err());
    world.counts(member(1), 5, 5);
    *world.model.gate.lock().unwrap() = None;
    let encoding = Encoding::Stomp { version: Version::V1_2, subscription: Some("s".into()) };
    let (own, mut inbox) = outbox();
    let _own = world.hub.subscribe_member(member(1), encoding, 0, own).await.unwrap();
    let told = |inbox: &mut Inbox| -> Vec<String> {
        let items = inbox.take(usize::MAX);
        items
            .iter()
            .map(|item| match &item.payload {
                Payload::Ready(text) => text.to_string(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let first = told(&mut inbox);
    assert!(first.len() == 1 && first[0].contains("\"unread\":5"), "{first:?}");
    gate.notify_one();
    // On this one thread, whoever waited runs now.
    tokio::task::yield_now().await;
    world.dispatch(8, vec![vec![push(60, Change::Sent(message(6)))]]).await;
    let then = told(&mut inbox);
    assert!(then.len() == 1 && then[0].contains("\"unread\":6"), "{then:?}");
}

/// Two listeners of one member, of whom the first goes away while the counts are read: the second still gets them.
#[tokio::test]
async fn who_waits_for_the_counts_of_another_gets_them() {
    let world = World::new();
    let gate = Arc::new(Notify::new());
    *world.model.gate.lock().unwrap() = Some(gate.clone());
    world.counts(member(1), 3, 3);
    let first = tokio::spawn({
        let hub = world.hub.clone();
        async move {
            let (own, _inbox) = outbox();
            hub.subscribe_member(member(1), Encoding::Sse, 0, own).await.is_ok()
        }
    });
    tokio::time::timeout(LIMIT, world.model.asked.notified()).await.unwrap();
    let (own, mut inbox) = outbox();
    let _second = world.hub.subscribe_member(member(1), Encoding::Sse, 0, own).await.unwrap();
    first.abort();
    assert!(first.await.is_err());
    gate.notify_one();
    assert!(tokio::time::timeout(LIMIT, inbox.ready()).await.unwrap());
    assert_eq!(heard(&mut inbox, "unread"), [3]);
}
