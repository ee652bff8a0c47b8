//! What holds after any commands at all: random ones, decided and evolved, beside a model that is obviously right.

use crate::{
    common::{ANNA, BEN, CARLA, DAVE, arbitrary, fold, message_id},
    examples::{add, create_group, delete, edit, join, leave, message, open_direct, remove, send},
};
use proptest::{collection::vec, prelude::*, sample::Index, sample::select, test_runner::TestCaseError};
use std::collections::BTreeSet;
use verbatim_domain::{
    Decider, MemberId,
    room::{MessageRef, Room, RoomCommand, RoomError, RoomEvent, RoomKind, RoomRole},
};

/// A command, but for what depends on what was said before.
#[derive(Debug, Clone)]
enum Step {
    Command(RoomCommand),
    Send(MemberId),
    Edit(MemberId, Index),
    Delete(MemberId, Index),
}

fn somebody() -> impl Strategy<Value = MemberId> + Clone {
    select(vec![ANNA, BEN, CARLA, DAVE])
}

fn opening() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => somebody().prop_map(create_group),
        1 => (somebody(), somebody()).prop_map(|(opener, other)| open_direct(opener, other)),
    ]
    .prop_map(Step::Command)
}

fn step() -> impl Strategy<Value = Step> {
    let two = || (somebody(), somebody());
    prop_oneof![
        1 => opening(),
        4 => somebody().prop_map(join).prop_map(Step::Command),
        3 => two().prop_map(|(by, whom)| Step::Command(add(by, whom))),
        2 => somebody().prop_map(leave).prop_map(Step::Command),
        2 => two().prop_map(|(by, whom)| Step::Command(remove(by, whom))),
        8 => somebody().prop_map(Step::Send),
        3 => (somebody(), any::<Index>()).prop_map(|(by, which)| Step::Edit(by, which)),
        3 => (somebody(), any::<Index>()).prop_map(|(by, which)| Step::Delete(by, which)),
    ]
}

/// Sending and editing are new each time; those are what idempotency keys are for.
fn repeatable_step() -> impl Strategy<Value = Step> {
    step().prop_filter("new each time", |step| !matches!(step, Step::Send(_) | Step::Edit(..)))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    (opening(), vec(step(), 0..120)).prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect())
}

/// A room as a list: who stands in it in which order, who owns it, who said what.
#[derive(Debug, Default)]
struct Model {
    kind: Option<RoomKind>,
    standing: Vec<MemberId>,
    owner: Option<MemberId>,
    senders: Vec<MemberId>,
    deleted: BTreeSet<u64>,
}

impl Model {
    fn command(&self, step: Step) -> RoomCommand {
        match step {
            Step::Command(command) => command,
            Step::Send(by) => send(by, self.last_seq() + 1, "said"),
            Step::Edit(by, which) => edit(by, self.find(by, which), "edited"),
            Step::Delete(by, which) => delete(by, self.find(by, which)),
        }
    }

    fn last_seq(&self) -> u64 {
        self.senders.len() as u64
    }

    /// Any message, or 0 or the one that will be next, which are not there.
    fn find(&self, by: MemberId, which: Index) -> MessageRef {
        let seq = which.index(self.senders.len() + 2);
        let sender = seq.checked_sub(1).and_then(|i| self.senders.get(i)).copied();
        message(seq as u64, sender.unwrap_or(by))
    }

    /// Takes in what happened, and checks that it could.
    fn apply(&mut self, event: &RoomEvent) -> Result<(), TestCaseError> {
        let takes_a_number = u64::from(matches!(event, RoomEvent::MessageSent { .. }));
        prop_assert_eq!(event.last_seq(), self.last_seq() + takes_a_number, "seq or at_seq of {:?}", event);
        match event {
            RoomEvent::GroupRoomCreated { creator, .. } => {
                prop_assert_eq!(self.kind.replace(RoomKind::Group), None);
                (self.standing, self.owner) = (vec![*creator], Some(*creator));
            }
            RoomEvent::DirectRoomOpened { members, .. } => {
                prop_assert_eq!(self.kind.replace(RoomKind::Direct), None);
                prop_assert_ne!(members[0], members[1]);
                self.standing = members.to_vec();
            }
            RoomEvent::MemberJoined { member_id, added_by, .. } => {
                prop_assert_eq!(self.kind, Some(RoomKind::Group));
                prop_assert!(!self.standing.contains(member_id));
                prop_assert!(added_by.is_none_or(|by| self.standing.contains(&by)));
                self.standing.push(*member_id);
            }
            RoomEvent::MemberLeft { member_id, removed_by, .. } => {
                prop_assert_eq!(self.kind, Some(RoomKind::Group));
                prop_assert!(self.standing.contains(member_id));
                prop_assert!(removed_by.is_none() || *removed_by == self.owner, "only the owner removes");
                prop_assert_ne!(*removed_by, Some(*member_id), "removing oneself is leaving");
                self.standing.retain(|id| id != member_id);
                self.owner = self.owner.filter(|owner| owner != member_id);
            }
            RoomEvent::RoomRoleChanged { member_id, role, .. } => {
                prop_assert_eq!((*role, self.owner), (RoomRole::Owner, None));
                prop_assert_eq!(self.standing.first(), Some(member_id), "the longest-standing inherits");
                self.owner = Some(*member_id);
            }
            RoomEvent::RoomClosed { .. } => prop_assert!(self.standing.is_empty()),
            RoomEvent::MessageSent { seq, sender_id, message_id: id, .. } => {
                prop_assert_eq!(*id, message_id(*seq));
                prop_assert!(self.standing.contains(sender_id));
                self.senders.push(*sender_id);
            }
            RoomEvent::MessageEdited { seq, edited_by: by, .. }
            | RoomEvent::MessageDeleted { seq, deleted_by: by, .. } => {
                prop_assert!(self.standing.contains(by));
                prop_assert_eq!(self.senders.get(*seq as usize - 1), Some(by), "one's own message");
                prop_assert!(!self.deleted.contains(seq), "neither edited nor deleted once deleted");
                if matches!(event, RoomEvent::MessageDeleted { .. }) {
                    self.deleted.insert(*seq);
                }
            }
        }
        Ok(())
    }

    /// Checks the room against the model, between two commands.
    fn check(&self, room: &Room) -> Result<(), TestCaseError> {
        prop_assert_eq!((room.kind(), room.last_seq()), (self.kind, self.last_seq()));
        let mut standing: Vec<_> = room.members().iter().map(|(id, place)| (place.order, *id)).collect();
        standing.sort_unstable();
        prop_assert_eq!(&standing.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), &self.standing);
        let owners: Vec<_> =
            room.members().iter().filter(|(_, p)| p.role == RoomRole::Owner).map(|(id, _)| *id).collect();
        prop_assert_eq!(&owners, &Vec::from_iter(self.owner));
        match self.kind {
            Some(RoomKind::Group) => {
                prop_assert_eq!(room.is_closed(), self.standing.is_empty(), "closed exactly when empty");
                prop_assert_eq!(self.owner.is_some(), !self.standing.is_empty(), "owned unless empty");
            }
            Some(RoomKind::Direct) => {
                prop_assert_eq!((self.standing.len(), self.owner, room.is_closed()), (2, None, false));
            }
            None => prop_assert!(self.standing.is_empty() && !room.is_closed()),
        }
        for seq in 0..=self.last_seq() + 1 {
            prop_assert_eq!(room.deleted().contains(seq), self.deleted.contains(&seq));
        }
        Ok(())
    }
}

/// Runs the steps on a room and on the model side by side; gives both and all that happened.
fn run(steps: Vec<Step>) -> Result<(Room, Model, Vec<RoomEvent>), TestCaseError> {
    let (mut room, mut model, mut log) = (Room::default(), Model::default(), vec![]);
    for step in steps {
        let command = model.command(step);
        for event in room.decide(&command).unwrap_or_default() {
            prop_assert_eq!(room.last_seq(), model.last_seq(), "last_seq before {:?}", event);
            model.apply(&event)?;
            room.evolve(&event);
            prop_assert_eq!(room.last_seq(), event.last_seq(), "last_seq after {:?}", event);
            log.push(event);
        }
        model.check(&room)?;
    }
    Ok((room, model, log))
}

proptest! {
    #![proptest_config(arbitrary::config())]

    /// Every rule that the model knows: see [`Model::apply`] and [`Model::check`].
    #[test]
    fn a_room_is_what_the_model_says(steps in steps()) {
        let (room, model, log) = run(steps)?;
        let seqs: Vec<u64> = log
            .iter()
            .filter_map(|event| match event {
                RoomEvent::MessageSent { seq, .. } => Some(*seq),
                _ => None,
            })
            .collect();
        prop_assert_eq!(seqs, (1..=room.last_seq()).collect::<Vec<_>>(), "gapless from 1");
        prop_assert!(log.is_sorted_by_key(RoomEvent::last_seq), "a message is found by binary search");
        prop_assert!(log.iter().all(|event| log[0].room_id() == event.room_id()));
        prop_assert_eq!(room.deleted().count_after(0), model.deleted.len() as u64);
        prop_assert_eq!(fold::<Room>(&log), room, "the log is the truth");
    }

    /// A command that was carried out leaves nothing to do, or is refused: a repetition never doubles its effect.
    #[test]
    fn what_holds_already_is_no_event(steps in steps(), last in repeatable_step()) {
        let (mut room, model, _) = run(steps)?;
        let command = model.command(last);
        for event in room.decide(&command).unwrap_or_default() {
            room.evolve(&event);
        }
        prop_assert_eq!(room.decide(&command).unwrap_or_default(), vec![]);
    }

    #[test]
    fn a_snapshot_is_the_same_room(steps in steps(), next in step()) {
        let (room, model, _) = run(steps)?;
        let restored: Room = serde_json::from_str(&serde_json::to_string(&room).unwrap()).unwrap();
        prop_assert_eq!(&restored, &room);
        let by_value: Room = serde_json::from_value(serde_json::to_value(&room).unwrap()).unwrap();
        prop_assert_eq!(&by_value, &room);
        let command = model.command(next);
        prop_assert_eq!(restored.decide(&command), room.decide(&command));
    }

    /// Events are facts: in whatever order they come, none makes the room panic.
    #[test]
    fn any_events_apply(events in vec(arbitrary::room_event(), 0..30), next in step()) {
        let mut room: Room = fold(&events);
        if let Ok(events) = room.decide(&Model::default().command(next)) {
            events.iter().for_each(|event| room.evolve(event));
        }
    }
}

/// The properties above would hold of a room that refuses everything; this one does not.
#[test]
fn random_commands_reach_every_event_and_refusal() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let (mut runner, mut events, mut refusals) =
        (TestRunner::deterministic(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..300 {
        let (mut room, mut model) = (Room::default(), Model::default());
        for step in steps().new_tree(&mut runner).unwrap().current() {
            match room.decide(&model.command(step)) {
                Ok(happened) => happened.iter().for_each(|event| {
                    events.insert(event.name());
                    model.apply(event).unwrap();
                    room.evolve(event);
                }),
                Err(refusal) => {
                    refusals.insert(format!("{refusal:?}"));
                }
            }
        }
    }
    assert_eq!(events.len(), 9, "{events:?}");
    // All but `Full`: a room of so many members is too large for here.
    assert_eq!(refusals.len(), 10, "{refusals:?}");
    assert!(!refusals.contains(&format!("{:?}", RoomError::Full)));
}
