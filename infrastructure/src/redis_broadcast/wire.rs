//! How changes look on Redis: the names of the channels, and what goes over them.
//!
//! A channel of a room or a member carries arrays of changes. The control channel of each partition says that all
//! changes of a stretch of the log have been sent on the channels of that partition; as all of a partition is on one
//! server, it comes after them.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};
use uuid::Uuid;
use verbatim_application::{
    ports::{Interest, Stretch},
    push::{Change, Push},
};
use verbatim_domain::{MemberId, RoomId};

/// How many partitions the channels of a Redis Cluster fall into; each has a hash slot of its own, and so one server.
/// More than any sensible number of servers would leave some of those without work.
pub(super) const CLUSTER_PARTITIONS: u16 = 16;
/// How much JSON one transaction holds at most, or one event's changes: Redis serves nobody else meanwhile.
const PIECE_BYTES: usize = 1024 * 1024;

/// Names of channels. Pub/Sub knows no databases, so the number of the database is part of each name: services that
/// share a Redis take different ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) database: i64,
    pub(super) partitions: u16,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Control(u16),
    Of(Interest),
}

impl Names {
    /// The partition that a room or a member is in.
    pub(super) fn partition(&self, interest: Interest) -> u16 {
        let id = match interest {
            Interest::Room(room) => room.as_uuid(),
            Interest::Member(member) => member.as_uuid(),
        };
        // Ids are random at the end, whichever version they are of.
        let rest = id.as_u128() % u128::from(self.partitions.max(1));
        u16::try_from(rest).unwrap_or_default()
    }

    fn name(&self, partition: u16, rest: fmt::Arguments<'_>) -> String {
        format!("verbatim:{{{}.{partition}}}:{rest}", self.database)
    }

    pub(super) fn control(&self, partition: u16) -> String {
        self.name(partition, format_args!("control"))
    }

    pub(super) fn of(&self, interest: Interest) -> String {
        let partition = self.partition(interest);
        match interest {
            Interest::Room(room) => self.name(partition, format_args!("room:{room}")),
            Interest::Member(member) => self.name(partition, format_args!("member:{member}")),
        }
    }

    /// What a channel is for, if it is one of these.
    pub(super) fn parse(&self, name: &[u8]) -> Option<Channel> {
        let name = std::str::from_utf8(name).ok()?.strip_prefix("verbatim:{")?;
        let (database, name) = name.split_once('.')?;
        let (partition, name) = name.split_once("}:")?;
        if database.parse() != Ok(self.database) {
            return None;
        }
        if name == "control" {
            let partition: u16 = partition.parse().ok()?;
            return (partition < self.partitions).then_some(Channel::Control(partition));
        }
        let (kind, id) = name.split_once(':')?;
        let id = Uuid::parse_str(id).ok()?;
        match kind {
            "room" => Some(Channel::Of(Interest::Room(RoomId::from_uuid(id)))),
            "member" => Some(Channel::Of(Interest::Member(MemberId::from_uuid(id)))),
            _ => None,
        }
    }
}

/// Who is told of a change: a room, a member, or both.
pub(super) fn told(push: &Push) -> (Option<Interest>, Option<Interest>) {
    let room = Interest::Room(push.room_id);
    match &push.change {
        Change::Joined(membership) | Change::Left(membership) => {
            (Some(room), Some(Interest::Member(membership.member_id)))
        }
        Change::Read { member_id, .. } => (None, Some(Interest::Member(*member_id))),
        Change::Sent(_) | Change::Edited(_) | Change::Deleted(_) => (Some(room), None),
        Change::Typing { .. } | Change::Closed { .. } => (Some(room), None),
    }
}

/// All changes from `after` to `upto` were sent on the channels of a partition before this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Control {
    pub(super) after: u64,
    pub(super) upto: u64,
}

/// A change, and which one it is of those of its event: one that comes by two channels is told once.
pub(super) type Numbered = (u32, Push);

/// What is sent of a stretch in one go.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) control: Option<Control>,
    /// For each partition, what goes over its channels.
    pub(super) messages: BTreeMap<u16, Vec<(String, Vec<u8>)>>,
    pub(super) pushes: usize,
}

/// Collects what goes over each channel.
#[derive(Default)]
struct Collected {
    channels: HashMap<Interest, Vec<u8>>,
    bytes: usize,
    pushes: usize,
}

impl Collected {
    fn add(&mut self, interest: Interest, json: &[u8]) {
        let text = self.channels.entry(interest).or_default();
        text.push(if text.is_empty() { b'[' } else { b',' });
        text.extend_from_slice(json);
        self.bytes += json.len() + 1;
    }

    fn finish(&mut self, names: &Names, control: Option<Control>) -> Piece {
        let collected = std::mem::take(self);
        let mut piece = Piece { control, pushes: collected.pushes, ..Piece::default() };
        for (interest, mut text) in collected.channels {
            text.push(b']');
            let partition = names.partition(interest);
            piece.messages.entry(partition).or_default().push((names.of(interest), text));
        }
        piece
    }
}

/// What is to be sent of a stretch, in this order.
///
/// # Errors
/// Those of the serializer.
pub(super) fn encode(names: &Names, stretch: &Stretch) -> serde_json::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut collected = Collected::default();
    let mut after = stretch.after;
    let (mut position, mut number) = (0, 0);
    let mut json = Vec::new();
    for push in &stretch.pushes {
        if push.position == position {
            number += 1;
        } else {
            if collected.bytes >= PIECE_BYTES {
                pieces.push(collected.finish(names, Some(Control { after, upto: position })));
                after = position;
            }
            (position, number) = (push.position, 0);
        }
        json.clear();
        serde_json::to_writer(&mut json, &(number, push))?;
        let (room, member) = told(push);
        for interest in room.into_iter().chain(member) {
            collected.add(interest, &json);
        }
        collected.pushes += 1;
    }
    pieces.push(collected.finish(names, Some(Control { after, upto: stretch.upto })));
    Ok(pieces)
}

/// What is to be sent of changes that are not from the log.
///
/// # Errors
/// Those of the serializer.
pub(super) fn encode_ephemeral(names: &Names, pushes: &[Push]) -> serde_json::Result<Piece> {
    let mut collected = Collected::default();
    for push in pushes {
        collected.add(Interest::Room(push.room_id), &serde_json::to_vec(&(0, push))?);
        collected.pushes += 1;
    }
    Ok(collected.finish(names, None))
}

/// What came over a channel of a room or a member.
///
/// # Errors
/// It was not sent by this version, or not by us.
pub(super) fn decode(text: &[u8]) -> serde_json::Result<Vec<Numbered>> {
    serde_json::from_slice(text)
}
