//! A node of a cluster, as far as the broadcast sees it.

use crate::{contract::broadcast::room, told::Told};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::AbortHandle, time::timeout};
use uuid::Uuid;
use verbatim_application::{
    ports::{Broadcast, Delivery, Interest, Listening, PushStream, Stretch},
    push::{Change, Membership, Push},
    views::{MessageView, UnreadView},
};
use verbatim_domain::{MemberId, MessageId, RoomId, Timestamp};
use verbatim_infrastructure::{RedisBroadcast, RedisObserver};

/// The longest a test waits for anything.
pub const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Counters {
    pub published: AtomicUsize,
    pub left_out: AtomicUsize,
    pub received: AtomicUsize,
    pub holes: AtomicUsize,
    pub replayed: AtomicUsize,
    pub missed: AtomicUsize,
    pub reconnects: AtomicUsize,
    pub connected: watch::Sender<bool>,
}

impl RedisObserver for Counters {
    fn published(&self, changes: usize) {
        self.published.fetch_add(changes, Ordering::SeqCst);
    }
    fn left_out(&self, changes: usize) {
        self.left_out.fetch_add(changes, Ordering::SeqCst);
    }
    fn received(&self, changes: usize) {
        self.received.fetch_add(changes, Ordering::SeqCst);
    }
    fn hole(&self) {
        self.holes.fetch_add(1, Ordering::SeqCst);
    }
    fn replayed(&self, changes: usize) {
        self.replayed.fetch_add(changes, Ordering::SeqCst);
    }
    fn missed(&self) {
        self.missed.fetch_add(1, Ordering::SeqCst);
    }
    fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::SeqCst);
    }
    fn connected(&self, connected: bool) {
        self.connected.send_replace(connected);
    }
}

/// Everything that the hub of the node has heard, in that order.
type Heard = watch::Sender<Vec<Push>>;

pub struct Node {
    pub broadcast: Arc<RedisBroadcast>,
    pub counters: Arc<Counters>,
    pub told: Arc<Told>,
    pub heard: Arc<Heard>,
    /// What it listens to, from which position on.
    listening: Mutex<HashMap<Interest, Arc<dyn Listening>>>,
    /// What it listened to, from where to where.
    listened: Mutex<Vec<(Interest, u64, u64)>>,
    hub: AbortHandle,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.hub.abort();
    }
}

async fn hub(mut stream: PushStream, heard: Arc<Heard>) {
    while let Some(delivery) = stream.next().await {
        match delivery {
            Delivery::Changes(pushes) => heard.send_modify(|heard| heard.extend(pushes.iter().cloned())),
            Delivery::Missed { upto } => panic!("missed everything up to {upto}"),
        }
    }
}

impl Node {
    pub async fn start(url: &str, told: Arc<Told>) -> Self {
        let node = Self::start_without_redis(url, told);
        node.connected(true).await;
        node
    }

    pub fn start_without_redis(url: &str, told: Arc<Told>) -> Self {
        let counters = Arc::new(Counters::default());
        let broadcast = RedisBroadcast::start(url, counters.clone()).unwrap();
        broadcast.replay_from(told.clone());
        let heard = Arc::new(Heard::default());
        let hub = tokio::spawn(hub(broadcast.subscribe(), heard.clone())).abort_handle();
        let (listening, listened) = (Mutex::default(), Mutex::default());
        Self { broadcast, counters, told, heard, listening, listened, hub }
    }

    /// Waits until the node says so of its connections.
    pub async fn connected(&self, connected: bool) {
        let mut watch = self.counters.connected.subscribe();
        let told = timeout(LIMIT, watch.wait_for(|now| *now == connected)).await;
        told.unwrap_or_else(|_| panic!("connected is not {connected}")).unwrap();
        assert_eq!(self.broadcast.is_connected(), connected);
    }

    /// Applies and publishes, as the runner does.
    pub async fn tell(&self, stretch: Stretch) {
        self.told.apply(&stretch);
        self.broadcast.publish(stretch).await.unwrap();
    }

    /// Listens; what is read after this and what is heard after it leave no gap.
    pub async fn listen(&self, interest: Interest) -> u64 {
        let listening = self.broadcast.listen(interest);
        let after = listening.begun().await.unwrap();
        assert!(after <= self.told.head(), "what is promised from there on is not in the read models yet");
        self.listening.lock().unwrap().entry(interest).or_insert(listening);
        after
    }

    pub fn leave(&self, interest: Interest) {
        let Some(listening) = self.listening.lock().unwrap().remove(&interest) else { return };
        let upto = self.heard.borrow().last().map_or(0, |push| push.position);
        self.listened.lock().unwrap().push((interest, listening.after().unwrap(), upto));
    }

    pub fn interests(&self) -> Vec<Interest> {
        self.listening.lock().unwrap().keys().copied().collect()
    }

    /// Waits until a change was heard.
    pub async fn hears(&self, position: u64) {
        let mut heard = self.heard.subscribe();
        let told = heard.wait_for(|heard| heard.last().is_some_and(|push| push.position >= position));
        let told = timeout(LIMIT, told).await.map(drop);
        let last = self.heard.borrow().last().map_or(0, |push| push.position);
        told.unwrap_or_else(|_| panic!("heard up to {last}, not {position}"));
    }

    /// Everything that it listened to was heard, once, in order; what it did not listen to may have been.
    pub fn check(&self) {
        let mut heard = self.heard.borrow().clone();
        heard.retain(|push| push.position > 0);
        let all = self.told.after(0);
        let mut rest = all.iter();
        for push in &heard {
            assert!(rest.any(|told| told == push), "twice, out of order, or never told: {push:?}");
        }
        let mut intervals = self.listened.lock().unwrap().clone();
        for (interest, listening) in &*self.listening.lock().unwrap() {
            intervals.push((*interest, listening.after().unwrap(), u64::MAX));
        }
        let mut by_interest: HashMap<Interest, [Vec<&Push>; 2]> = HashMap::new();
        for (interest, after, upto) in intervals {
            let [all, heard] = by_interest.entry(interest).or_insert_with(|| {
                [&all, &heard].map(|pushes| pushes.iter().filter(|push| concerns(push, interest)).collect())
            });
            let [expected, found] = [all, heard].map(|pushes| {
                let from = pushes.partition_point(|push| push.position <= after);
                let to = pushes.partition_point(|push| push.position <= upto);
                &pushes[from..to.max(from)]
            });
            assert_eq!(expected, found, "{interest:?} from {after} to {upto}");
        }
    }
}

pub fn member(n: u128) -> MemberId {
    MemberId::from_uuid(Uuid::from_u128(1_000 + n))
}

fn concerns(push: &Push, interest: Interest) -> bool {
    match (interest, &push.change) {
        (Interest::Room(_), Change::Read { .. }) => false,
        (Interest::Room(room), _) => push.room_id == room,
        (Interest::Member(member), Change::Joined(m) | Change::Left(m)) => m.member_id == member,
        (Interest::Member(member), Change::Read { member_id, .. }) => *member_id == member,
        (Interest::Member(_), _) => false,
    }
}

pub fn sent(position: u64, room_id: RoomId, body: String) -> Push {
    let message = MessageView {
        message_id: MessageId::from_uuid(Uuid::from_u128(u128::from(position))),
        room_id,
        seq: position,
        sender_id: member(0),
        sender_name: "Ada".to_owned(),
        body,
        sent_at: Timestamp::UNIX_EPOCH,
        edited_at: None,
        deleted: false,
    };
    Push::new(position, room_id, Change::Sent(message))
}

/// What one event changed; of some kinds nothing, of some two things.
pub fn event(position: u64, room_number: u128, kind: u32) -> Vec<Push> {
    let room_id = room(room_number);
    let push = |change| Push::new(position, room_id, change);
    let someone = |n| Membership {
        member_id: member(n),
        display_name: "Ben".to_owned(),
        by: None,
        last_seq: position,
        at: Timestamp::UNIX_EPOCH,
    };
    match kind % 12 {
        0 => Vec::new(),
        1 => vec![push(Change::Joined(someone(room_number))), push(Change::Joined(someone(room_number + 1)))],
        2 => vec![push(Change::Left(someone(room_number)))],
        3 => {
            let unread = UnreadView { room_id, unread: 0, last_seq: position, read_seq: position };
            vec![push(Change::Read { member_id: member(room_number), unread })]
        }
        4 => vec![push(Change::Closed { last_seq: position })],
        _ => vec![sent(position, room_id, format!("said at {position}"))],
    }
}
