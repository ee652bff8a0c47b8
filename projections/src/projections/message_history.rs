//! `message_history`: messages, with the names of those who sent them. It keeps its own copy of the names, so that a
//! page and a push always agree with the messages beside them.

use super::message_pushes;
use crate::{
    Changes, Projection,
    bulk::{self, Upsert},
    dialect::OnConflict,
    values,
};
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr, Value};
use std::collections::{BTreeMap, HashMap};
use verbatim_application::{
    codec::{Envelope, Event},
    push::Push,
};
use verbatim_domain::{MemberId, MessageId, RoomId, Timestamp, member::MemberEvent, room::RoomEvent};
use verbatim_migrations::read_models::{MESSAGE_HISTORY, ReadModel, physical};

/// Messages, with the names of those who sent them.
#[derive(Debug, Clone, Copy)]
pub struct MessageHistory;

type Key = (RoomId, u64);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    message_id: MessageId,
    sender_id: MemberId,
    body: String,
    sent_at: Timestamp,
}

/// What became of a message after it was sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Touch {
    /// The last edit.
    edited: Option<(String, Timestamp)>,
    deleted: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct HistoryChanges {
    sent: BTreeMap<Key, Sent>,
    touched: HashMap<Key, Touch>,
    names: BTreeMap<MemberId, String>,
}

impl HistoryChanges {
    fn of(events: &[Envelope]) -> Self {
        let mut changes = Self::default();
        for envelope in events {
            match &envelope.event {
                Event::Room(event) => changes.room(event),
                Event::Member(event) => changes.member(event),
                Event::Email(_) | Event::ReadCursor(_) => {}
            }
        }
        changes
    }

    fn room(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::MessageSent { room_id, message_id, seq, sender_id, body, sent_at } => {
                let sent = Sent {
                    message_id: *message_id,
                    sender_id: *sender_id,
                    body: body.as_str().to_owned(),
                    sent_at: *sent_at,
                };
                self.sent.insert((*room_id, *seq), sent);
            }
            RoomEvent::MessageEdited { room_id, seq, body, edited_at, .. } => {
                let touch = self.touched.entry((*room_id, *seq)).or_default();
                touch.edited = Some((body.as_str().to_owned(), *edited_at));
            }
            RoomEvent::MessageDeleted { room_id, seq, .. } => {
                self.touched.entry((*room_id, *seq)).or_default().deleted = true;
            }
            _ => {}
        }
    }

    fn member(&mut self, event: &MemberEvent) {
        if let MemberEvent::MemberRegistered { member_id, display_name, .. }
        | MemberEvent::DisplayNameChanged { member_id, display_name, .. } = event
        {
            self.names.insert(*member_id, display_name.as_str().to_owned());
        }
    }
}

#[async_trait]
impl Projection for MessageHistory {
    fn model(&self) -> &'static ReadModel {
        &MESSAGE_HISTORY
    }

    fn fold(&self, events: &[Envelope]) -> Box<dyn Changes> {
        Box::new(HistoryChanges::of(events))
    }

    async fn pushes(&self, events: &[Envelope], db: &DatabaseTransaction) -> Result<Vec<Push>, DbErr> {
        message_pushes::build(events, db).await
    }
}

/// A row of `messages`.
struct Row {
    message_id: Value,
    sender_id: Value,
    body: String,
    sent_at: String,
    edited_at: Option<String>,
    deleted: bool,
}

impl Row {
    fn sent(sent: Sent) -> Self {
        Self {
            message_id: values::id(sent.message_id.as_uuid()),
            sender_id: values::id(sent.sender_id.as_uuid()),
            body: sent.body,
            sent_at: values::moment(sent.sent_at),
            edited_at: None,
            deleted: false,
        }
    }

    fn read(row: &sea_orm::QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            message_id: row.try_get::<String>("", "message_id")?.into(),
            sender_id: row.try_get::<String>("", "sender_id")?.into(),
            body: row.try_get("", "body")?,
            sent_at: row.try_get("", "sent_at")?,
            edited_at: row.try_get("", "edited_at")?,
            deleted: row.try_get("", "deleted")?,
        })
    }

    fn take(&mut self, touch: Touch) {
        if let Some((body, at)) = touch.edited {
            self.body = body;
            self.edited_at = Some(values::moment(at));
        }
        self.deleted |= touch.deleted;
        if self.deleted {
            self.body.clear();
        }
    }

    fn push_values(self, (room, seq): Key, into: &mut Vec<Value>) {
        into.extend([
            values::id(room.as_uuid()),
            values::number(seq),
            self.message_id,
            self.sender_id,
            self.body.into(),
            self.sent_at.into(),
            self.edited_at.into(),
            self.deleted.into(),
        ]);
    }
}

const COLUMNS: [&str; 8] =
    ["room_id", "seq", "message_id", "sender_id", "body", "sent_at", "edited_at", "deleted"];

#[async_trait]
impl Changes for HistoryChanges {
    async fn write(self: Box<Self>, db: &DatabaseTransaction, version: i32) -> Result<(), DbErr> {
        let Self { sent, mut touched, names } = *self;
        let table = physical("messages", version);
        let mut written: Vec<Value> = Vec::with_capacity((sent.len() + touched.len()) * COLUMNS.len());
        for (key, sent) in sent {
            let mut row = Row::sent(sent);
            if let Some(touch) = touched.remove(&key) {
                row.take(touch);
            }
            row.push_values(key, &mut written);
        }
        // What is left was sent in an earlier batch.
        let keys = touched.keys().map(|(room, seq)| [values::id(room.as_uuid()), values::number(*seq)]);
        let keys = keys.collect();
        for row in bulk::select_pairs(db, &COLUMNS.join(", "), &table, ("room_id", "seq"), keys).await? {
            let key = (values::id_of(&row, "room_id")?, values::number_of(&row, "seq")?);
            if let Some(touch) = touched.remove(&key) {
                let mut row = Row::read(&row)?;
                row.take(touch);
                row.push_values(key, &mut written);
            }
        }
        for (room, seq) in touched.keys() {
            // The aggregate makes such a history impossible; a log written by other hands could hold it.
            tracing::error!(room_id = %room, seq, "a change of a message that was never sent");
        }
        let messages = Upsert {
            table: &table,
            columns: &COLUMNS,
            key: &["room_id", "seq"],
            updates: &COLUMNS[2..].iter().map(|column| (*column, OnConflict::Replace)).collect::<Vec<_>>(),
        };
        messages.write(db, written).await?;

        let senders = Upsert {
            table: &physical("message_senders", version),
            columns: &["member_id", "display_name"],
            key: &["member_id"],
            updates: &[("display_name", OnConflict::Replace)],
        };
        let names = names.into_iter().flat_map(|(member, name)| [values::id(member.as_uuid()), name.into()]);
        senders.write(db, names.collect()).await
    }
}
