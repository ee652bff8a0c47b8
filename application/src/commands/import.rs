//! Taking in conversations from elsewhere: as commands, with ids and idempotency keys that follow from what is
//! imported, so that a second run changes nothing.

use crate::{
    AppError,
    app::{App, Context, content_hash},
    bus::{Command, Idempotency, Intent, Pending, Step},
    codec::Streamed,
};
use futures_util::future::join_all;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use verbatim_domain::{
    EmailId, MemberId, MessageId, RoomId, Timestamp,
    email::EmailCommand,
    member::MemberCommand,
    room::RoomCommand,
    text::{DisplayName, Email, MessageBody, RoomName},
};

/// How long a command waits for room in the command bus.
const QUEUE_LIMIT: Duration = Duration::from_secs(30);
/// Registrations under way at once.
const REGISTRATIONS_AT_ONCE: usize = 1_024;

/// One message of a conversation, as it was said.
#[derive(Debug, Clone)]
pub struct ImportedMessage {
    /// Names the conversation; it becomes a group room of this name.
    pub room: String,
    /// Names the author; they become a member of this name, who can't log in.
    pub sender: String,
    /// What was said.
    pub body: String,
    /// When.
    pub sent_at: Timestamp,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It is in the log now.
    Imported,
    /// An earlier run had put it there.
    Repeated,
}

/// Imports messages chunk by chunk. Messages of one room must come in their order; each has its place in the room as
/// part of its key, so a file that has only grown can be imported again.
pub struct Importer {
    app: Arc<App>,
    /// Messages seen of each room.
    counts: HashMap<RoomId, u64>,
    authors: HashSet<MemberId>,
    inside: HashSet<(RoomId, MemberId)>,
}

enum Begun {
    Failed(AppError),
    /// The commands that lead to the message, the message last.
    Waiting(Vec<Pending>),
}

impl Importer {
    /// An importer that has seen nothing yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app, counts: HashMap::new(), authors: HashSet::new(), inside: HashSet::new() }
    }

    /// Imports the next messages; one result each, in their order. All that is `Ok` is durable.
    pub async fn import(&mut self, messages: &[ImportedMessage]) -> Vec<Result<ImportOutcome, AppError>> {
        let mut unknown = self.register(messages).await;
        let mut begun = Vec::with_capacity(messages.len());
        for message in messages {
            let author = MemberId::imported(&message.sender);
            begun.push(match unknown.remove(&author) {
                Some(error) => Begun::Failed(error),
                None if self.authors.contains(&author) => match self.begin(message, author).await {
                    Ok(waiting) => Begun::Waiting(waiting),
                    Err(error) => Begun::Failed(error),
                },
                None => {
                    Begun::Failed(AppError::field("sender", "could not be registered; see an earlier line"))
                }
            });
        }
        let mut outcomes = Vec::with_capacity(begun.len());
        for one in begun {
            outcomes.push(match one {
                Begun::Failed(error) => Err(error),
                Begun::Waiting(waiting) => settle(waiting).await,
            });
        }
        outcomes
    }

    /// Registers the authors that are new; gives the errors of those that can't be.
    async fn register(&mut self, messages: &[ImportedMessage]) -> HashMap<MemberId, AppError> {
        let mut new: HashMap<MemberId, &str> = HashMap::new();
        for message in messages {
            let id = MemberId::imported(&message.sender);
            if !self.authors.contains(&id) {
                new.insert(id, &message.sender);
            }
        }
        let mut failed = HashMap::new();
        let new: Vec<(MemberId, &str)> = new.into_iter().collect();
        for some in new.chunks(REGISTRATIONS_AT_ONCE) {
            let results = join_all(some.iter().map(|(id, name)| self.app.import_author(*id, name))).await;
            for ((id, _), result) in some.iter().zip(results) {
                match result {
                    Ok(()) => {
                        self.authors.insert(*id);
                    }
                    Err(error) => {
                        failed.insert(*id, error);
                    }
                }
            }
        }
        failed
    }

    /// Queues everything one message needs: its room, its author's place there, itself. They go to one shard of the
    /// bus, which keeps their order.
    async fn begin(&mut self, message: &ImportedMessage, author: MemberId) -> Result<Vec<Pending>, AppError> {
        let body = MessageBody::historical(&message.body).map_err(AppError::text("body"))?;
        let name = RoomName::parse(&message.room).map_err(AppError::text("room"))?;
        let room = RoomId::imported(&message.room);
        let at = message.sent_at;
        let mut waiting = Vec::with_capacity(3);
        if !self.counts.contains_key(&room) {
            let create = RoomCommand::CreateGroup { room_id: room, name, creator: author, at };
            let key = (format!("import:{room}"), content_hash(&["import_room", &message.room]));
            waiting.push(self.submit(room, author, create, Some(key)).await?);
            self.counts.insert(room, 0);
            self.inside.insert((room, author));
        }
        if self.inside.insert((room, author)) {
            let join = RoomCommand::Join { member_id: author, at };
            waiting.push(self.submit(room, author, join, None).await?);
        }
        let place = self.counts.entry(room).or_default();
        *place += 1;
        let key = format!("import:{room}:{place}");
        let content = content_hash(&[&message.sender, &at.to_rfc3339(), body.as_str()]);
        let message_id = MessageId::from_uuid(self.app.ids.next());
        let send = RoomCommand::SendMessage { message_id, sender_id: author, body, sent_at: at };
        waiting.push(self.submit(room, author, send, Some((key, content))).await?);
        Ok(waiting)
    }

    async fn submit(
        &self,
        room: RoomId,
        actor: MemberId,
        command: RoomCommand,
        key: Option<(String, String)>,
    ) -> Result<Pending, AppError> {
        let command = Command::Room(command);
        let mut intent = self.app.intent(room.stream(), command, actor, Context::default(), &[]);
        if let Some((key, content_hash)) = key {
            for step in &mut intent.steps {
                step.idempotency = Some(Idempotency { key: key.clone(), content_hash: content_hash.clone() });
            }
        }
        self.app.bus.submit_within(intent, QUEUE_LIMIT).await
    }
}

/// The outcome of the last command; a failure of one before it comes first.
async fn settle(waiting: Vec<Pending>) -> Result<ImportOutcome, AppError> {
    let mut outcome = ImportOutcome::Repeated;
    for pending in waiting {
        let repeated = pending.wait_first().await?.repeated;
        outcome = if repeated { ImportOutcome::Repeated } else { ImportOutcome::Imported };
    }
    Ok(outcome)
}

impl App {
    async fn import_author(&self, member_id: MemberId, name: &str) -> Result<(), AppError> {
        let display_name = DisplayName::parse(name).map_err(AppError::text("sender"))?;
        let email = Email::parse(&format!("{member_id}@imported.invalid")).map_err(AppError::internal)?;
        let at = self.clock.now();
        let key = email.key();
        let register = MemberCommand::Register {
            member_id,
            email: email.clone(),
            display_name,
            password_hash: None,
            at,
        };
        let idempotency = Some(Idempotency {
            key: format!("import:{member_id}"),
            content_hash: content_hash(&["import_member", name]),
        });
        let claim = EmailCommand::Claim { email, member_id, at };
        let intent = Intent {
            steps: vec![
                Step {
                    stream: member_id.stream(),
                    command: Command::Member(register),
                    fresh: false,
                    idempotency,
                },
                Step {
                    stream: EmailId::of(&key).stream(),
                    command: Command::Email(claim),
                    fresh: false,
                    idempotency: None,
                },
            ],
            actor: Some(member_id),
            correlation_id: None,
            trace: None,
        };
        self.bus.submit_within(intent, QUEUE_LIMIT).await?.wait().await?;
        Ok(())
    }
}
