//! Looking at aggregates: always at state that is durable.

use super::{Aggregate, Bus, Job, limits::ANSWER_LIMIT};
use crate::{codec::Streamed, error::AppError, ports::StreamId};
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

impl Bus {
    /// Looks at the durable state of an aggregate. A refusal by `look` is repeated on the newest state in the log
    /// before it counts, for another node may have written meanwhile.
    async fn inspect<R: Send + 'static>(
        &self,
        stream: StreamId,
        mut look: impl FnMut(&Aggregate, u64) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        let (reply, answer) = oneshot::channel();
        let mut reply = Some(reply);
        let inspector: Inspector = Box::new(move |state, inspection| {
            let result = match state {
                Ok(aggregate) => match look(aggregate, inspection.sequence) {
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
        self.enqueue(&stream, Job::Inspect { stream, inspector })?;
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(closed)) => Err(AppError::unavailable("the service is stopping", closed)),
            Err(elapsed) => Err(AppError::unavailable("the event log did not answer in time", elapsed)),
        }
    }

    /// Looks at a room; `look` also gets the sequence of its last event.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn room<R: Send + 'static>(
        &self,
        room: RoomId,
        mut look: impl FnMut(&Room, u64) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect(room.stream(), move |aggregate, sequence| match aggregate {
            Aggregate::Room(room) => look(room, sequence),
            _ => Err(AppError::internal("a room stream holds another aggregate")),
        })
        .await
    }

    /// Looks at an account.
    ///
    /// # Errors
    /// What `look` refuses, or the log can't be read.
    pub async fn member<R: Send + 'static>(
        &self,
        member: MemberId,
        mut look: impl FnMut(&Member) -> Result<R, AppError> + Send + 'static,
    ) -> Result<R, AppError> {
        self.inspect(member.stream(), move |aggregate, _| match aggregate {
            Aggregate::Member(member) => look(member),
            _ => Err(AppError::internal("a member stream holds another aggregate")),
        })
        .await
    }

    /// Whose an e-mail address is.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn email_owner(&self, id: EmailId) -> Result<Option<MemberId>, AppError> {
        self.inspect(id.stream(), |aggregate, _| match aggregate {
            Aggregate::Email(email) => Ok(email.owner()),
            _ => Err(AppError::internal("an e-mail stream holds another aggregate")),
        })
        .await
    }
}
