//! One type for the four aggregates, so that a shard can hold them side by side.

use crate::{codec::Event, error::AppError};
use cqrs_es::Aggregate as _;
use serde::{Deserialize, Serialize};
use verbatim_domain::{
    Decider,
    email::{Email, EmailCommand},
    member::{Member, MemberCommand},
    read_cursor::{ReadCursor, ReadCursorCommand},
    room::{Room, RoomCommand},
};

/// A command to any aggregate.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// To an account.
    Member(MemberCommand),
    /// To an address.
    Email(EmailCommand),
    /// To a room.
    Room(RoomCommand),
    /// To a read cursor.
    ReadCursor(ReadCursorCommand),
}

impl Command {
    /// Stable snake_case name, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Member(MemberCommand::Register { .. }) => "register_member",
            Self::Member(MemberCommand::ChangeDisplayName { .. }) => "change_display_name",
            Self::Member(MemberCommand::ChangePassword { .. }) => "change_password",
            Self::Member(MemberCommand::ChangeRole { .. }) => "change_role",
            Self::Email(EmailCommand::Claim { .. }) => "claim_email",
            Self::Room(RoomCommand::CreateGroup { .. }) => "create_group",
            Self::Room(RoomCommand::OpenDirect { .. }) => "open_direct",
            Self::Room(RoomCommand::Join { .. }) => "join_room",
            Self::Room(RoomCommand::AddMember { .. }) => "add_member",
            Self::Room(RoomCommand::Leave { .. }) => "leave_room",
            Self::Room(RoomCommand::RemoveMember { .. }) => "remove_member",
            Self::Room(RoomCommand::SendMessage { .. }) => "send_message",
            Self::Room(RoomCommand::EditMessage { .. }) => "edit_message",
            Self::Room(RoomCommand::DeleteMessage { .. }) => "delete_message",
            Self::ReadCursor(ReadCursorCommand::MarkRead { .. }) => "mark_read",
        }
    }
}

/// Version of the snapshots' shape. A stored one of another version is ignored, and the stream read instead: raise
/// it whenever an aggregate's state changes shape or meaning.
const SNAPSHOT_VERSION: u32 = 1;

/// The state of any aggregate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Aggregate {
    /// An account.
    Member(Member),
    /// An address.
    Email(Email),
    /// A room.
    Room(Room),
    /// A read cursor.
    ReadCursor(ReadCursor),
}

#[derive(Serialize, Deserialize)]
struct Stored<A> {
    version: u32,
    state: A,
}

impl Aggregate {
    /// The state before the first event.
    pub(super) fn empty(aggregate_type: &str) -> Option<Self> {
        match aggregate_type {
            Member::TYPE => Some(Self::Member(Member::default())),
            Email::TYPE => Some(Self::Email(Email::default())),
            Room::TYPE => Some(Self::Room(Room::default())),
            ReadCursor::TYPE => Some(Self::ReadCursor(ReadCursor::default())),
            _ => None,
        }
    }

    pub(super) fn decide(&self, command: &Command) -> Result<Vec<Event>, AppError> {
        fn of<T>(events: Vec<T>, wrap: fn(T) -> Event) -> Vec<Event> {
            events.into_iter().map(wrap).collect()
        }
        Ok(match (self, command) {
            (Self::Member(state), Command::Member(command)) => of(state.decide(command)?, Event::Member),
            (Self::Email(state), Command::Email(command)) => of(state.decide(command)?, Event::Email),
            (Self::Room(state), Command::Room(command)) => of(state.decide(command)?, Event::Room),
            (Self::ReadCursor(state), Command::ReadCursor(command)) => match state.decide(command) {
                Ok(events) => of(events, Event::ReadCursor),
                Err(never) => match never {},
            },
            _ => return Err(AppError::internal("a command was routed to an aggregate of another type")),
        })
    }

    pub(super) fn evolve(&mut self, event: &Event) {
        match (self, event) {
            (Self::Member(state), Event::Member(event)) => state.evolve(event),
            (Self::Email(state), Event::Email(event)) => state.evolve(event),
            (Self::Room(state), Event::Room(event)) => state.evolve(event),
            (Self::ReadCursor(state), Event::ReadCursor(event)) => state.evolve(event),
            _ => tracing::error!("an event stands in a stream of another aggregate type; it is ignored"),
        }
    }

    /// Its size in memory, in units of about 100 bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Member(_) | Self::Email(_) | Self::ReadCursor(_) => 4,
            Self::Room(room) => 8 + room.members().len() + room.deleted().ranges() / 4,
        }
    }

    pub(super) fn to_snapshot(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Stored { version: SNAPSHOT_VERSION, state: self })
    }

    /// The state in a snapshot of this type, unless it is of another version or shape.
    pub(super) fn from_snapshot(aggregate_type: &str, payload: &str) -> Option<Self> {
        let stored: Stored<serde_json::Value> = serde_json::from_str(payload).ok()?;
        if stored.version != SNAPSHOT_VERSION {
            return None;
        }
        let state: Self = serde_json::from_value(stored.state).ok()?;
        (state.aggregate_type() == aggregate_type).then_some(state)
    }

    fn aggregate_type(&self) -> &'static str {
        match self {
            Self::Member(_) => Member::TYPE,
            Self::Email(_) => Email::TYPE,
            Self::Room(_) => Room::TYPE,
            Self::ReadCursor(_) => ReadCursor::TYPE,
        }
    }
}
