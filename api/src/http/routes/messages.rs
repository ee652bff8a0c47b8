//! What is said in a room, and how far it is read.

use super::{Group, Limit, limit};
use crate::http::{
    answer::{Command, Created, Failure, Nothing, Plain, statuses},
    auth::Auth,
    body::{Body, body},
    context::{Once, Plainly, Seen},
    input::{Seq, SeqOrZero},
    middleware::note_message,
    param::{Query, Segment},
    problem::{Problem, Wrong},
    schema::describe,
};
use poem::web::Data;
use poem_openapi::OpenApi;
use serde::Serialize;
use std::sync::Arc;
use verbatim_application::{App, ports::Range, views::MessageView};
use verbatim_domain::{RoomId, text::MessageBody};

body! {
    /// Something to say.
    SayBody {
        /// The text, kept to the byte: not blank, no NUL, at most 16,384 bytes of UTF-8.
        body: MessageBody,
    }
}

body! {
    /// How far one has read.
    ReadCursorBody {
        /// Number of the last message read.
        seq: SeqOrZero,
    }
}

#[derive(Debug, Serialize)]
struct MessagePage {
    items: Vec<MessageView>,
    next: Option<u64>,
}

describe! {
    MessagePage as "MessagePage", "A part of a room's history, oldest first." {
        items: Vec<MessageView> = "The messages, deleted ones included (without body).",
        next: Option<u64> = "What to ask for next, in the same direction: `after` if the request had one, else \
                             `before`; null at the end.",
    }
}

impl MessagePage {
    /// A page with the number where the next one in the same direction starts. Numbers have no gaps, so going back ends
    /// with message 1; going on, a full page may be the last one: then the next is empty.
    fn of(range: Range, limit: usize, items: Vec<MessageView>) -> Self {
        let next = match range {
            Range::After(_) => items.last().filter(|_| items.len() >= limit).map(|message| message.seq),
            Range::Newest | Range::Before(_) => {
                items.first().map(|message| message.seq).filter(|seq| *seq > 1)
            }
        };
        Self { items, next }
    }
}

#[derive(Debug, Serialize)]
struct ReadCursor {
    read_seq: u64,
    unread: u64,
}

describe! {
    ReadCursor as "ReadCursor", "How far one has read." {
        read_seq: u64 = "Number of the last message read.",
        unread: u64 = "Messages not read and not deleted.",
    }
}

statuses! {
    /// Of sending.
    SendMessage: 403 404 409 422;
    /// Of history.
    History: 403 404;
    /// Of editing and deleting.
    Change: 403 404 409 422;
    /// Of marking read.
    MarkRead: 403 404 409;
}

pub(in crate::http) struct MessagesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Messages")]
impl MessagesApi {
    /// Send a message
    ///
    /// The answer means that it is durable. It counts as read by its sender, with all before it.
    #[oai(path = "/rooms/:room_id/messages", method = "post", operation_id = "send_message")]
    async fn send(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// The room.
        room_id: Segment<RoomId>,
        /// The client's name for this message: repeated with it, the request gives the first answer again.
        #[oai(name = "Idempotency-Key")]
        once: Once,
        body: Body<SayBody>,
    ) -> Result<Created<MessageView>, Failure<SendMessage>> {
        let done = app.send_message(auth.member(), room_id.0, body.0.body, once.0).await?;
        note_message(done.value.message_id, done.value.seq);
        Ok(Created::of(done))
    }

    /// Read history
    ///
    /// The newest page, or the one just before or after a message; oldest first inside the page.
    #[oai(path = "/rooms/:room_id/messages", method = "get", operation_id = "read_history")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter")]
    async fn history(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// The room.
        room_id: Segment<RoomId>,
        /// Only messages before this number. Not together with `after`.
        before: Query<Option<Seq>>,
        /// Only messages after this number. Not together with `before`.
        after: Query<Option<SeqOrZero>>,
        /// Most messages of the page; 50 unless given.
        #[oai(name = "limit")]
        most: Query<Limit>,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<MessagePage>, Failure<History>> {
        let range = match (before.0, after.0) {
            (None, None) => Range::Newest,
            (Some(before), None) => Range::Before(before.0),
            (None, Some(after)) => Range::After(after.0),
            (Some(_), Some(_)) => {
                return Err(Problem::invalid(vec![Wrong::new("after", "can't be used with before")]).into());
            }
        };
        let limit = limit(&most.0);
        let messages = app.messages(auth.member(), room_id.0, range, limit).await?;
        Ok(Plain(MessagePage::of(range, limit, messages)))
    }

    /// Edit a message of one's own
    #[oai(path = "/rooms/:room_id/messages/:seq", method = "patch", operation_id = "edit_message")]
    async fn edit(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        /// The room.
        room_id: Segment<RoomId>,
        /// Number of the message.
        seq: Segment<Seq>,
        body: Body<SayBody>,
    ) -> Result<Command<MessageView>, Failure<Change>> {
        let done = app.edit_message(auth.member(), room_id.0, seq.0.0, body.0.body, plainly.0).await?;
        Ok(Command::of(done, |message| message))
    }

    /// Delete a message of one's own
    ///
    /// Its number stays; its body is gone from every answer. Deleting it twice is no error.
    #[oai(path = "/rooms/:room_id/messages/:seq", method = "delete", operation_id = "delete_message")]
    async fn delete(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        /// The room.
        room_id: Segment<RoomId>,
        /// Number of the message.
        seq: Segment<Seq>,
    ) -> Result<Command<Nothing, 204>, Failure<Change>> {
        let done = app.delete_message(auth.member(), room_id.0, seq.0.0, plainly.0).await?;
        Ok(Command::of(done, |()| Nothing))
    }

    /// Mark messages read
    ///
    /// Everything up to `seq`. It never moves back; beyond the last message it counts as the last.
    #[oai(path = "/rooms/:room_id/read-cursor", method = "put", operation_id = "mark_read")]
    async fn mark_read(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        /// The room.
        room_id: Segment<RoomId>,
        body: Body<ReadCursorBody>,
    ) -> Result<Command<ReadCursor>, Failure<MarkRead>> {
        let done = app.mark_read(auth.member(), room_id.0, body.0.seq.0, plainly.0).await?;
        Ok(Command::of(done, |view| ReadCursor { read_seq: view.read_seq, unread: view.unread }))
    }
}
