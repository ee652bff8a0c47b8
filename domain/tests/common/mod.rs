//! What the tests of all aggregates share: people, texts, times, and given/when/then.
#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]
#![allow(clippy::expect_used, reason = "a fixture that is wrong ends the test, and should")]

pub(crate) mod arbitrary;

use chrono::DateTime;
use cqrs_es::test::TestFramework;
use std::fmt::Debug;
use uuid::Uuid;
use verbatim_domain::{
    Decider, MemberId, MessageId, RoomId, Timestamp,
    text::{DisplayName, Email, MessageBody, PasswordHash, RoomName},
};

/// The members that examples speak of.
pub(crate) const ANNA: MemberId = MemberId::from_uuid(Uuid::from_u128(0xa));
pub(crate) const BEN: MemberId = MemberId::from_uuid(Uuid::from_u128(0xb));
pub(crate) const CARLA: MemberId = MemberId::from_uuid(Uuid::from_u128(0xc));
pub(crate) const DAVE: MemberId = MemberId::from_uuid(Uuid::from_u128(0xd));
/// The room they are in.
pub(crate) const ROOM: RoomId = RoomId::from_uuid(Uuid::from_u128(0x100));

/// The moment `seconds` after the examples begin.
pub(crate) fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time that exists")
}

pub(crate) fn message_id(n: u64) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(0x1000 + u128::from(n)))
}

pub(crate) fn body(text: &str) -> MessageBody {
    MessageBody::parse(text).expect("a valid message body")
}

pub(crate) fn room_name(text: &str) -> RoomName {
    RoomName::parse(text).expect("a valid room name")
}

pub(crate) fn display_name(text: &str) -> DisplayName {
    DisplayName::parse(text).expect("a valid display name")
}

pub(crate) fn email(text: &str) -> Email {
    Email::parse(text).expect("a valid address")
}

pub(crate) fn password_hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.to_owned())
}

/// The state after `events`.
pub(crate) fn fold<'a, A: Decider>(events: impl IntoIterator<Item = &'a A::Event>) -> A
where
    A::Event: 'a,
{
    let mut state = A::default();
    events.into_iter().for_each(|event| state.evolve(event));
    state
}

/// A history, from which a test goes on with [`Given::when`].
pub(crate) struct Given<A: Decider>(Vec<A::Event>);

/// What a command led to.
#[derive(Debug)]
pub(crate) struct Outcome<A: Decider>(Result<Vec<A::Event>, A::Error>);

pub(crate) fn given<A: Decider>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(history.into_iter().collect())
}

impl<A> Given<A>
where
    A: Decider<Services = ()> + PartialEq + Debug,
    A::Error: PartialEq,
{
    /// Runs the command through cqrs-es, which must do what `decide` says and nothing else.
    pub(crate) fn when(self, command: A::Command) -> Outcome<A> {
        let state: A = fold(&self.0);
        let decided = state.decide(&command);
        assert_eq!(decided, state.decide(&command), "the same command on the same state decides the same");
        assert_eq!(state, fold(&self.0), "deciding changes nothing");
        let handled = TestFramework::<A>::with(()).given(self.0).when(command).inspect_result();
        assert_eq!(decided, handled, "the cqrs-es shim adds nothing");
        Outcome(handled)
    }

    /// The state, where a test is about what can be read from it.
    pub(crate) fn state(&self) -> A {
        fold(&self.0)
    }
}

impl<A: Decider> Outcome<A>
where
    A::Error: PartialEq,
{
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.0, Ok(expected.into_iter().collect()));
    }

    /// What the command wants holds already.
    #[track_caller]
    pub(crate) fn then_nothing(self) {
        self.then([]);
    }

    #[track_caller]
    pub(crate) fn then_refused(self, expected: A::Error) {
        assert_eq!(self.0, Err(expected));
    }
}
