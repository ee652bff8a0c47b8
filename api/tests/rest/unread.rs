//! Unread counts by a simple model, over random operations.

use crate::kit::{Answer, Room, User, start};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use std::collections::{BTreeMap, BTreeSet};

const MEMBERS: usize = 3;
const ROOMS: usize = 2;
const OPERATIONS: usize = 150;
/// How often the counts are compared on the way.
const COMPARE_EVERY: usize = 15;

#[derive(Debug, Clone)]
enum Operation {
    Join,
    Leave,
    Send,
    Edit(u64),
    Delete(u64),
    Read(u64),
}

fn operation() -> impl Strategy<Value = (usize, usize, Operation)> {
    let seq = 0..30_u64;
    let what = prop_oneof![
        2 => Just(Operation::Join),
        1 => Just(Operation::Leave),
        6 => Just(Operation::Send),
        1 => seq.clone().prop_map(Operation::Edit),
        3 => seq.clone().prop_map(Operation::Delete),
        3 => seq.prop_map(Operation::Read),
    ];
    (0..MEMBERS, 0..ROOMS, what)
}

/// A room as its rules say it is.
#[derive(Debug, Default)]
struct Model {
    inside: BTreeSet<usize>,
    closed: bool,
    /// The sender of message `i + 1`.
    senders: Vec<usize>,
    deleted: BTreeSet<u64>,
    read: BTreeMap<usize, u64>,
}

impl Model {
    fn last(&self) -> u64 {
        self.senders.len() as u64
    }

    fn has_read(&mut self, member: usize, seq: u64) {
        let read = self.read.entry(member).or_default();
        *read = seq.max(*read);
    }

    fn unread(&self, member: usize) -> u64 {
        let read = self.read.get(&member).copied().unwrap_or_default();
        (read + 1..=self.last()).filter(|seq| !self.deleted.contains(seq)).count() as u64
    }

    /// What an operation does, and the status it is answered with.
    fn apply(&mut self, member: usize, operation: &Operation) -> u16 {
        let inside = self.inside.contains(&member);
        match operation {
            // Looked at before anything is asked of the room.
            Operation::Edit(0) | Operation::Delete(0) => 400,
            Operation::Join if inside => 200,
            Operation::Join if self.closed => 422,
            Operation::Join => {
                self.inside.insert(member);
                self.has_read(member, self.last());
                200
            }
            Operation::Leave => {
                self.closed |= inside && self.inside.len() == 1;
                self.inside.remove(&member);
                204
            }
            _ if !inside => 403,
            Operation::Send => {
                self.senders.push(member);
                self.has_read(member, self.last());
                201
            }
            Operation::Read(seq) => {
                self.has_read(member, (*seq).min(self.last()));
                200
            }
            Operation::Edit(seq) | Operation::Delete(seq) => {
                let place = usize::try_from(*seq).unwrap() - 1;
                match self.senders.get(place) {
                    None => 404,
                    Some(sender) if *sender != member => 403,
                    Some(_) if matches!(operation, Operation::Delete(_)) => {
                        self.deleted.insert(*seq);
                        204
                    }
                    Some(_) if self.deleted.contains(seq) => 422,
                    Some(_) => 200,
                }
            }
        }
    }
}

async fn perform(user: &User, room: &Room, operation: &Operation) -> Answer {
    let body = serde_json::json!({ "body": "something" });
    match operation {
        Operation::Join => user.join(room).send().await,
        Operation::Leave => user.leave(room).send().await,
        Operation::Send => user.say(room, "something").send().await,
        Operation::Edit(seq) => user.patch(&room.at(&format!("/messages/{seq}")), body).send().await,
        Operation::Delete(seq) => user.delete(&room.at(&format!("/messages/{seq}"))).send().await,
        Operation::Read(seq) => user.read(room, *seq).send().await,
    }
}

async fn compare(users: &[User], rooms: &[Room], models: &[Model], after: &Answer) {
    for (member, user) in users.iter().enumerate() {
        let mine = user.get("/me/rooms").seeing(after).ok(200).await;
        let found: BTreeMap<&str, (u64, u64, u64)> = mine
            .items()
            .iter()
            .map(|item| {
                let number = |name: &str| item[name].as_u64().unwrap();
                let last = item["room"]["last_seq"].as_u64().unwrap();
                (item["room"]["room_id"].as_str().unwrap(), (number("unread"), number("read_seq"), last))
            })
            .collect();
        let expected: BTreeMap<&str, (u64, u64, u64)> = rooms
            .iter()
            .zip(models)
            .filter(|(_, model)| model.inside.contains(&member))
            .map(|(room, model)| {
                (
                    &*room.id,
                    (model.unread(member), model.read.get(&member).copied().unwrap_or(0), model.last()),
                )
            })
            .collect();
        assert_eq!(found, expected, "unread, read and last of {}", user.name);
    }
}

#[tokio::test]
async fn counts_are_what_a_simple_model_says() {
    let (server, api) = start().await;
    let users: [User; MEMBERS] = api.users().await;
    let mut rooms = Vec::new();
    let mut models = Vec::new();
    for number in 0..ROOMS {
        rooms.push(users[0].room(&format!("Room {number}")).await);
        models.push(Model { inside: BTreeSet::from([0]), ..Model::default() });
    }
    // Other operations each time; the failure prints them.
    let mut runner = TestRunner::new(Config::default());
    let operations = prop::collection::vec(operation(), OPERATIONS).new_tree(&mut runner).unwrap().current();
    let mut newest: Option<Answer> = None;
    for (number, (member, place, operation)) in operations.iter().enumerate() {
        let expected = models[*place].apply(*member, operation);
        let answer = perform(&users[*member], &rooms[*place], operation).await;
        let history = &operations[..=number];
        assert_eq!(answer.status, expected, "{answer} after {history:?}");
        if answer.status < 300 && newest.as_ref().is_none_or(|newest| newest.position() < answer.position()) {
            newest = Some(answer);
        }
        if number % COMPARE_EVERY == 0
            && let Some(newest) = &newest
        {
            println!("compared after {history:?}");
            compare(&users, &rooms, &models, newest).await;
        }
    }
    compare(&users, &rooms, &models, &newest.unwrap()).await;
    let verified = server.cli(&["projections", "verify", "--all"]).await;
    assert!(verified.status.success(), "{verified:?}");
}
