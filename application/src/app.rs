//! Everything the use cases work with, in one place that transports hold.

use crate::{
    bus::{Bus, Command, Executed, Idempotency, Intent, Step, repeat},
    error::{AppError, ErrorClass},
    ports::{
        Clock, EventLog, HistoryReader, IdGenerator, LoginLimiter, MemberReader, PasswordHasher, Positions,
        RoomReader, SessionStore, StreamId, TicketStore, TokenIssuer, UnreadReader,
    },
    trace::TraceContext,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use verbatim_domain::{MemberId, RoomId, member::MemberRole, text::IdempotencyKey};

/// The ports and the bus. Built once by the wiring point, shared by all transports.
pub struct App {
    /// The way to every aggregate.
    pub bus: Bus,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdGenerator>,
    /// Password hashing.
    pub passwords: Arc<dyn PasswordHasher>,
    /// Access tokens.
    pub tokens: Arc<dyn TokenIssuer>,
    /// Refresh tokens.
    pub sessions: Arc<dyn SessionStore>,
    /// The limit on guessing.
    pub logins: Arc<dyn LoginLimiter>,
    /// One-use tickets.
    pub tickets: Arc<dyn TicketStore>,
    /// Message history.
    pub history: Arc<dyn HistoryReader>,
    /// Rooms.
    pub rooms: Arc<dyn RoomReader>,
    /// Members.
    pub members: Arc<dyn MemberReader>,
    /// Unread counts.
    pub unread: Arc<dyn UnreadReader>,
    /// How far the projections are.
    pub positions: Arc<dyn Positions>,
}

/// Who asks, as their access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub member_id: MemberId,
    /// In which role.
    pub role: MemberRole,
    /// In which session.
    pub session_id: uuid::Uuid,
}

impl Caller {
    /// Checks that the caller may operate the service.
    ///
    /// # Errors
    /// `forbidden`
    pub fn admin(&self) -> Result<(), AppError> {
        match self.role {
            MemberRole::Admin => Ok(()),
            MemberRole::Member => Err(AppError::new(
                ErrorClass::Forbidden,
                "not_an_admin",
                "this is for operators (role admin)",
            )),
        }
    }
}

/// What comes with a command beside its content.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Context {
    /// Id of the request, or of the session, kept with the events.
    pub correlation_id: Option<String>,
    /// The step of a trace that led to it, kept with the events.
    pub trace: Option<TraceContext>,
    /// The client's key for doing it once only.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A command that is done: durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Done<T> {
    /// What it gives.
    pub value: T,
    /// Log position that includes it: a read that waits for it sees it.
    pub position: u64,
    /// It had been done before under the same key; this is the first result again.
    pub repeated: bool,
}

impl<T> Done<T> {
    pub(crate) fn of(value: T, executed: &Executed) -> Self {
        Self { value, position: executed.position, repeated: executed.repeated }
    }
}

/// Hash of what a command asks for. Parts are length-prefixed, so no two contents share a hash by their seams.
pub(crate) fn content_hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The claim of a member's key for one command with this content.
pub(crate) fn claim(name: &str, actor: MemberId, key: &IdempotencyKey, content: &[&str]) -> Idempotency {
    let mut parts = vec![name];
    parts.extend_from_slice(content);
    Idempotency { key: format!("{actor}:{key}"), content_hash: content_hash(&parts) }
}

impl App {
    /// An intent of one step.
    pub(crate) fn intent(
        &self,
        stream: StreamId,
        command: Command,
        actor: MemberId,
        context: Context,
        content: &[&str],
    ) -> Intent {
        let name = command.name();
        let idempotency = context.idempotency_key.map(|key| claim(name, actor, &key, content));
        Intent {
            steps: vec![Step { stream, command, fresh: false, idempotency }],
            actor: Some(actor),
            correlation_id: context.correlation_id,
            trace: context.trace,
        }
    }

    /// The first result of a command, if it was done before under this key.
    ///
    /// # Errors
    /// `idempotency_key_reused` if the key was used for something else.
    pub(crate) async fn done_before(&self, claim: &Idempotency) -> Result<Option<Executed>, AppError> {
        let found = self.log.find_by_idempotency_keys(vec![claim.key.clone()]).await?;
        found.first().map(|first| repeat(first, &claim.content_hash)).transpose()
    }

    /// Checks that `member` is in `room`; what another node did may be missing for a moment. While the log can't be
    /// asked, the read models are: who was in the room may go on reading it. Gives the number of its last message.
    ///
    /// # Errors
    /// `room_not_found` or `not_a_member`.
    pub async fn admit(&self, member: MemberId, room: RoomId) -> Result<u64, AppError> {
        let admitted = self
            .bus
            .room(room, move |room, _| {
                room.admit(member)?;
                Ok(room.last_seq())
            })
            .await;
        match admitted {
            Err(error) if error.class == ErrorClass::Unavailable => {
                self.remembered_last_seq(member, room).await.ok_or(error)
            }
            admitted => admitted,
        }
    }

    /// Admits one who listens from now on, and has seen the room's messages up to `after`. Asks for the newest state:
    /// a removal that another node has told of before this one listened is not told again. Gives where to go on: nobody
    /// has seen what has not been said, so beyond the end is the end.
    ///
    /// # Errors
    /// `room_not_found` or `not_a_member`.
    pub async fn admit_listener(
        &self,
        member: MemberId,
        room: RoomId,
        after: Option<u64>,
    ) -> Result<Option<u64>, AppError> {
        let admitted = self
            .bus
            .newest_room(room, move |room| {
                room.admit(member)?;
                Ok(room.last_seq())
            })
            .await;
        match admitted {
            Err(error) if error.class == ErrorClass::Unavailable => {
                // Whether so much was said can't be asked. Then it is believed: telling it again would be worse.
                self.remembered_last_seq(member, room).await.map(|_| after).ok_or(error)
            }
            admitted => admitted.map(|last| after.map(|after| after.min(last))),
        }
    }

    /// Number of a room's last message by the read models, for one who is in it.
    async fn remembered_last_seq(&self, member: MemberId, room: RoomId) -> Option<u64> {
        self.unread.unread_in(member, &[room]).await.ok()?.first().map(|view| view.last_seq)
    }
}

/// A bug: a command succeeded and its event is not the one it should be.
pub(crate) fn wrong_event() -> AppError {
    AppError::internal("a command led to another event than it should")
}
