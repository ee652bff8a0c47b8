//! Looking at aggregates: always at state that is durable.

use super::{
    Aggregate, Bus, Job,
    decision::not_hydrated,
    hydrate::load_failure,
    limits::ANSWER_LIMIT,
    shard::{Looking, Shard},
};
use crate::{codec::Streamed, error::AppError, ports::StreamId};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tokio::sync::oneshot;
use verbatim_domain::{EmailId, MemberId, RoomId, member::Member, room::Room};

/// Looks at an aggregate; `false` asks to be called once more, with the newest state, as `last`.
pub(super) type Inspector = Box<dyn FnMut(Result<&Aggregate, AppError>, Inspection) -> bool + Send>;

/// What an inspector is told beside the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inspection {
    /// Sequence of the last event in the state.
    pub(super) sequence: u64,
    /// The state is fresh from the log: answer now.
    pub(super) last: bool,
}

impl Shard {
    /// Shows aggregates to those who asked. What is remembered and was the newest a moment ago will do for most; the
    /// rest share one read of each aggregate.
    pub(super) async fn inspect(&mut self, looking: Vec<Looking>) {
        let mut again = Vec::new();
        for mut look in looking {
            let shown = match self.cache.get(&look.stream) {
                Some(cached) if !look.newest && cached.checked.elapsed() < self.limits.trust => {
                    let inspection = Inspection { sequence: cached.sequence, last: false };
                    show(&mut look.inspector, Ok(&cached.state), inspection)
                }
                _ => Ok(false),
            };
            match shown {
                Ok(true) => {}
                Ok(false) => again.push(look),
                Err(Panicked) => self.observer.panicked(),
            }
        }
        if again.is_empty() {
            return;
        }
        let known: HashMap<_, _> =
            again.iter().map(|look| (look.stream, self.cache.remove(&look.stream))).collect();
        let read = self.load_all(known.into_iter().collect()).await;
        for mut look in again {
            let state = match (&read, self.cache.get(&look.stream)) {
                (Err(error), _) => Err(load_failure(error)),
                (Ok(damaged), cached) => match (damaged.get(&look.stream), cached) {
                    (Some(error), _) => Err(load_failure(error)),
                    (None, Some(cached)) => Ok(&*cached),
                    (None, None) => Err(not_hydrated()),
                },
            };
            let sequence = state.as_ref().map_or(0, |cached| cached.sequence);
            let state = state.map(|cached| &cached.state);
            if show(&mut look.inspector, state, Inspection { sequence, last: true }).is_err() {
                self.observer.panicked();
            }
        }
    }
}

struct Panicked;

/// Calls an inspector. One that panics harms nobody else: it only looks, so the state is as it was.
fn show(
    inspector: &mut Inspector,
    state: Result<&Aggregate, AppError>,
    inspection: Inspection,
) -> Result<bool, Panicked> {
    catch_unwind(AssertUnwindSafe(|| inspector(state, inspection))).map_err(|_| {
        tracing::error!("a look at an aggregate panicked");
        Panicked
    })
}

impl Bus {
    /// Looks at the durable state of an aggregate. A refusal by `look` is repeated on the newest state in the log
    /// before it counts, for another node may have written meanwhile; so may, for up to [`super::INSPECTION_TRUST`],
    /// what it agrees to, unless it asks for the `newest` state in the first place.
    async fn inspect<R: Send + 'static>(
        &self,
        stream: StreamId,
        newest: bool,
        mut look: impl FnMut(&Aggregate, Inspection) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        let (reply, answer) = oneshot::channel();
        let mut reply = Some(reply);
        let inspector: Inspector = Box::new(move |state, inspection| {
            let result = match state {
                Ok(aggregate) => match look(aggregate, inspection) {
                    Err(_) if !inspection.last => return false,
                    result => result,
                },
                Err(error) => Err(error),
            };
            if let Some(reply) = reply.take() {
                // Nobody waits any more: nothing to tell.
                let _ = reply.send(result);
            }
            true
        });
        self.enqueue(&stream, Job::Inspect(Looking { stream, newest, inspector }))?;
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(closed)) => Err(AppError::unavailable("this can't be looked up now; try again", closed)),
            Err(elapsed) => Err(AppError::unavailable("the event log did not answer in time", elapsed)),
        }
    }

    async fn inspect_room<R: Send + 'static>(
        &self,
        room: RoomId,
        newest: bool,
        mut look: impl FnMut(&Room, Inspection) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect(room.stream(), newest, move |aggregate, inspection| match aggregate {
            Aggregate::Room(room) => look(room, inspection),
            _ => Err(AppError::internal("a room stream holds another aggregate")),
        })
        .await
    }

    /// Looks at a room; `look` also gets the sequence of its last event. What another node wrote may be missing for
    /// up to [`super::INSPECTION_TRUST`], but nothing is refused for want of it.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn room<R: Send + 'static>(
        &self,
        room: RoomId,
        mut look: impl FnMut(&Room, u64) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect_room(room, false, move |room, inspection| look(room, inspection.sequence)).await
    }

    /// Looks at a room as the log has it now.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn newest_room<R: Send + 'static>(
        &self,
        room: RoomId,
        mut look: impl FnMut(&Room) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect_room(room, true, move |room, _| look(room)).await
    }

    /// Number of a room's last message, for one who is in it, knowing that there is a message `seq`: if that is not
    /// remembered, it is looked up in the log.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`, or the log can't be read.
    pub async fn last_seq(&self, member: MemberId, room: RoomId, seq: u64) -> Result<u64, AppError> {
        self.inspect_room(room, false, move |room, inspection| {
            room.admit(member)?;
            if seq > room.last_seq() && !inspection.last {
                return Err(verbatim_domain::room::RoomError::MessageNotFound.into());
            }
            Ok(room.last_seq())
        })
        .await
    }

    async fn inspect_member<R: Send + 'static>(
        &self,
        member: MemberId,
        newest: bool,
        mut look: impl FnMut(&Member) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect(member.stream(), newest, move |aggregate, _| match aggregate {
            Aggregate::Member(member) => look(member),
            _ => Err(AppError::internal("a member stream holds another aggregate")),
        })
        .await
    }

    /// Looks at an account. What another node wrote may be missing for up to [`super::INSPECTION_TRUST`].
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn member<R: Send + 'static>(
        &self,
        member: MemberId,
        look: impl FnMut(&Member) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect_member(member, false, look).await
    }

    /// Looks at an account as the log has it now.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn newest_member<R: Send + 'static>(
        &self,
        member: MemberId,
        look: impl FnMut(&Member) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect_member(member, true, look).await
    }

    /// Whose an e-mail address is. That it is nobody's is never said from memory: what does not exist is not kept.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn email_owner(&self, id: EmailId) -> Result<Option<MemberId>, AppError> {
        self.inspect(id.stream(), false, |aggregate, _| match aggregate {
            Aggregate::Email(email) => Ok(email.owner()),
            _ => Err(AppError::internal("an e-mail stream holds another aggregate")),
        })
        .await
    }
}
