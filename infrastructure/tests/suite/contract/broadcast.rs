//! The contract of [`Broadcast`]: a fixture is one that nobody listens to yet, whose hubs can be told again.

use crate::told::Told;
use std::{any::Any, sync::Arc};
use uuid::Uuid;
use verbatim_application::{
    ports::{Broadcast, Delivery, Interest, Listening, PushStream, REPLAY_MAX, Stretch},
    push::{Change, Push},
};
use verbatim_domain::{MemberId, RoomId};

/// A broadcast, what it tells again from, and what it lives in.
pub struct Fixture {
    pub broadcast: Arc<dyn Broadcast>,
    pub told: Arc<Told>,
    pub _keep: Box<dyn Any + Send + Sync>,
}

/// Makes a test of each case.
macro_rules! broadcast_contract {
    ($fixture:expr) => {
        $crate::contract::contract!(broadcast, $fixture;
            every_hub_gets_every_change_in_order
            who_comes_late_gets_what_comes_later
            publishing_to_nobody_works
            nothing_is_not_told
            what_is_repeated_is_told_once
            what_is_of_a_member_is_told
            what_is_ephemeral_is_told_at_once
            a_slow_hub_is_told_again
            a_hub_far_behind_is_told_that_it_missed_some
        );
    };
}
pub(crate) use broadcast_contract;

pub fn room(n: u128) -> RoomId {
    RoomId::from_uuid(Uuid::from_u128(n))
}

fn push(position: u64) -> Push {
    Push::new(position, room(1), Change::Closed { last_seq: position })
}

/// Events that each change something in the room.
fn stretch(after: u64, upto: u64) -> Stretch {
    Stretch { after, upto, pushes: (after + 1..=upto).map(push).collect() }
}

fn positions(pushes: &[Push]) -> Vec<u64> {
    pushes.iter().map(|push| push.position).collect()
}

/// The next changes.
pub async fn changes(stream: &mut PushStream) -> Arc<Vec<Push>> {
    match stream.next().await {
        Some(Delivery::Changes(pushes)) => pushes,
        other => panic!("{other:?}"),
    }
}

/// The next `count` changes.
async fn next(stream: &mut PushStream, count: usize) -> Vec<Push> {
    let mut pushes = Vec::new();
    while pushes.len() < count {
        pushes.extend(changes(stream).await.iter().cloned());
    }
    pushes
}

impl Fixture {
    /// Applies and publishes, as the runner does.
    async fn tell(&self, stretch: Stretch) {
        self.told.apply(&stretch);
        self.broadcast.publish(stretch).await.unwrap();
    }

    async fn listen(&self) -> Arc<dyn Listening> {
        let listening = self.broadcast.listen(Interest::Room(room(1)));
        assert!(listening.begun().await.unwrap() <= self.told.head());
        assert!(listening.after().is_some());
        listening
    }
}

pub async fn every_hub_gets_every_change_in_order(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let mut hubs = [(); 3].map(|()| fixture.broadcast.subscribe());
    for after in (0..300).step_by(6) {
        fixture.tell(stretch(after, after + 6)).await;
    }
    for hub in &mut hubs {
        assert_eq!(next(hub, 300).await, fixture.told.after(0));
    }
}

pub async fn who_comes_late_gets_what_comes_later(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let mut early = fixture.broadcast.subscribe();
    fixture.tell(stretch(0, 1)).await;
    assert_eq!(next(&mut early, 1).await, [push(1)]);
    let mut late = fixture.broadcast.subscribe();
    fixture.tell(stretch(1, 2)).await;
    assert_eq!(next(&mut late, 1).await, [push(2)]);
    drop(early);
    fixture.tell(stretch(2, 3)).await;
    assert_eq!(next(&mut late, 1).await, [push(3)]);
}

pub async fn publishing_to_nobody_works(fixture: Fixture) {
    fixture.tell(stretch(0, 1)).await;
    let listening = fixture.listen().await;
    drop(fixture.broadcast.subscribe());
    fixture.tell(stretch(1, 2)).await;
    drop(listening);
    fixture.tell(stretch(2, 3)).await;
}

pub async fn nothing_is_not_told(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let mut hub = fixture.broadcast.subscribe();
    fixture.tell(Stretch { after: 0, upto: 5, pushes: Vec::new() }).await;
    fixture.tell(stretch(5, 6)).await;
    assert_eq!(*changes(&mut hub).await, [push(6)]);
}

pub async fn what_is_repeated_is_told_once(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let mut hub = fixture.broadcast.subscribe();
    fixture.tell(stretch(0, 4)).await;
    fixture.tell(stretch(4, 8)).await;
    // A new runner goes on from where the old one had certainly told everything, in other batches.
    for (after, upto) in [(2, 3), (3, 6), (6, 8)] {
        fixture.broadcast.publish(stretch(after, upto)).await.unwrap();
    }
    fixture.told.apply(&stretch(8, 12));
    fixture.broadcast.publish(stretch(7, 12)).await.unwrap();
    assert_eq!(positions(&next(&mut hub, 12).await), (1..=12).collect::<Vec<_>>());
    fixture.tell(stretch(12, 13)).await;
    assert_eq!(*changes(&mut hub).await, [push(13)]);
}

pub async fn what_is_of_a_member_is_told(fixture: Fixture) {
    let member_id = MemberId::from_uuid(Uuid::from_u128(7));
    let listening = fixture.broadcast.listen(Interest::Member(member_id));
    listening.begun().await.unwrap();
    let mut hub = fixture.broadcast.subscribe();
    let unread =
        verbatim_application::views::UnreadView { room_id: room(9), unread: 2, last_seq: 5, read_seq: 3 };
    let read = Push::new(1, room(9), Change::Read { member_id, unread });
    fixture.tell(Stretch { after: 0, upto: 1, pushes: vec![read.clone()] }).await;
    assert_eq!(*changes(&mut hub).await, [read]);
}

pub async fn what_is_ephemeral_is_told_at_once(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let mut hub = fixture.broadcast.subscribe();
    let member_id = MemberId::from_uuid(Uuid::from_u128(7));
    let change = Change::Typing { member_id, display_name: "Ada".to_owned() };
    let typing = Push::new(0, room(1), change);
    for _ in 0..2 {
        fixture.broadcast.publish_ephemeral(typing.clone()).await.unwrap();
        assert_eq!(*changes(&mut hub).await, std::slice::from_ref(&typing));
    }
}

pub async fn a_slow_hub_is_told_again(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let (mut slow, mut quick) = (fixture.broadcast.subscribe(), fixture.broadcast.subscribe());
    let (last, each) = (30_000, 10);
    for after in (0..last).step_by(each) {
        fixture.tell(stretch(after, after + each as u64)).await;
        next(&mut quick, each).await;
    }
    let all = next(&mut slow, usize::try_from(last).unwrap()).await;
    assert_eq!(positions(&all), (1..=last).collect::<Vec<_>>());
    fixture.tell(stretch(last, last + 1)).await;
    assert_eq!(*changes(&mut slow).await, [push(last + 1)]);
}

pub async fn a_hub_far_behind_is_told_that_it_missed_some(fixture: Fixture) {
    let _listening = fixture.listen().await;
    let (mut slow, mut quick) = (fixture.broadcast.subscribe(), fixture.broadcast.subscribe());
    let (last, each) = (REPLAY_MAX + 10_000, 40);
    for after in (0..last).step_by(each) {
        fixture.tell(stretch(after, after + each as u64)).await;
        next(&mut quick, each).await;
    }
    let mut heard = 0;
    let upto = loop {
        match slow.next().await.unwrap() {
            Delivery::Missed { upto } => break upto,
            Delivery::Changes(pushes) => {
                let expected: Vec<_> = (heard + 1..).take(pushes.len()).collect();
                assert_eq!(positions(&pushes), expected);
                heard += pushes.len() as u64;
            }
        }
    };
    assert_eq!(upto, last, "what is in the read models need not be told");
    fixture.tell(stretch(last, last + 1)).await;
    assert_eq!(*changes(&mut slow).await, [push(last + 1)]);
}
