//! What subscribers of a room are told, with the names that `message_history` keeps.

use crate::{bulk, values};
use sea_orm::{DatabaseTransaction, DbErr};
use std::collections::{BTreeSet, HashMap};
use verbatim_application::{
    codec::{Envelope, Event},
    push::{Change, Membership, Push},
    views::MessageView,
};
use verbatim_domain::{MemberId, RoomId, Timestamp, room::RoomEvent};

/// Pushes of the room events among these, in log order. A change shows the message as the event left it.
pub(super) async fn build(events: &[Envelope], db: &DatabaseTransaction) -> Result<Vec<Push>, DbErr> {
    let messages = touched_messages(events, db).await?;
    let names = names(events, &messages, db).await?;
    let told = Told { messages, names };
    let mut pushes = Vec::new();
    for envelope in events {
        if let Event::Room(event) = &envelope.event {
            told.push(event, envelope.position, &mut pushes);
        }
    }
    Ok(pushes)
}

struct Told {
    messages: HashMap<(RoomId, u64), MessageView>,
    names: HashMap<MemberId, String>,
}

impl Told {
    fn name(&self, member: MemberId) -> String {
        self.names.get(&member).cloned().unwrap_or_default()
    }

    fn push(&self, event: &RoomEvent, position: u64, pushes: &mut Vec<Push>) {
        use RoomEvent as E;
        let mut push = |change| pushes.push(Push::new(position, event.room_id(), change));
        let membership = |member_id: &MemberId, by: Option<MemberId>, last_seq: u64, at: &Timestamp| {
            Membership { member_id: *member_id, display_name: self.name(*member_id), by, last_seq, at: *at }
        };
        match event {
            E::MessageSent { room_id, message_id, seq, sender_id, body, sent_at } => {
                push(Change::Sent(MessageView {
                    message_id: *message_id,
                    room_id: *room_id,
                    seq: *seq,
                    sender_id: *sender_id,
                    sender_name: self.name(*sender_id),
                    body: body.as_str().to_owned(),
                    sent_at: *sent_at,
                    edited_at: None,
                    deleted: false,
                }));
            }
            E::MessageEdited { room_id, seq, body, edited_at, .. } => {
                if let Some(message) = self.message(*room_id, *seq) {
                    let body = body.as_str().to_owned();
                    let edited_at = Some(*edited_at);
                    push(Change::Edited(MessageView { body, edited_at, deleted: false, ..message }));
                }
            }
            E::MessageDeleted { room_id, seq, .. } => {
                if let Some(message) = self.message(*room_id, *seq) {
                    push(Change::Deleted(MessageView { body: String::new(), deleted: true, ..message }));
                }
            }
            E::GroupRoomCreated { creator, at, .. } => push(Change::Joined(membership(creator, None, 0, at))),
            E::DirectRoomOpened { members: [opener, other], at, .. } => {
                // Two pushes of one position; the one who does not know yet comes first.
                push(Change::Joined(membership(other, Some(*opener), 0, at)));
                push(Change::Joined(membership(opener, None, 0, at)));
            }
            E::MemberJoined { member_id, added_by, at_seq, at, .. } => {
                push(Change::Joined(membership(member_id, *added_by, *at_seq, at)));
            }
            E::MemberLeft { member_id, removed_by, at_seq, at, .. } => {
                push(Change::Left(membership(member_id, *removed_by, *at_seq, at)));
            }
            E::RoomClosed { at_seq, .. } => push(Change::Closed { last_seq: *at_seq }),
            E::RoomRoleChanged { .. } => {}
        }
    }

    fn message(&self, room: RoomId, seq: u64) -> Option<MessageView> {
        let message = self.messages.get(&(room, seq))?.clone();
        Some(MessageView { sender_name: self.name(message.sender_id), ..message })
    }
}

/// The messages that were edited or deleted, without the names of their senders.
async fn touched_messages(
    events: &[Envelope],
    db: &DatabaseTransaction,
) -> Result<HashMap<(RoomId, u64), MessageView>, DbErr> {
    let mut touched = BTreeSet::new();
    for envelope in events {
        if let Event::Room(
            RoomEvent::MessageEdited { room_id, seq, .. } | RoomEvent::MessageDeleted { room_id, seq, .. },
        ) = &envelope.event
        {
            touched.insert((*room_id, *seq));
        }
    }
    let keys = touched.into_iter().map(|(room, seq)| [values::id(room.as_uuid()), values::number(seq)]);
    let columns = "room_id, seq, message_id, sender_id, body, sent_at, edited_at, deleted";
    let rows = bulk::select_pairs(db, columns, "messages", ("room_id", "seq"), keys.collect()).await?;
    let mut messages = HashMap::new();
    for row in rows {
        let edited_at: Option<String> = row.try_get("", "edited_at")?;
        let message = MessageView {
            message_id: values::id_of(&row, "message_id")?,
            room_id: values::id_of(&row, "room_id")?,
            seq: values::number_of(&row, "seq")?,
            sender_id: values::id_of(&row, "sender_id")?,
            sender_name: String::new(),
            body: row.try_get("", "body")?,
            sent_at: values::parse_moment(&row.try_get::<String>("", "sent_at")?)?,
            edited_at: edited_at.as_deref().map(values::parse_moment).transpose()?,
            deleted: row.try_get("", "deleted")?,
        };
        messages.insert((message.room_id, message.seq), message);
    }
    Ok(messages)
}

/// What everybody who is named is called now.
async fn names(
    events: &[Envelope],
    messages: &HashMap<(RoomId, u64), MessageView>,
    db: &DatabaseTransaction,
) -> Result<HashMap<MemberId, String>, DbErr> {
    let mut named: BTreeSet<MemberId> = messages.values().map(|message| message.sender_id).collect();
    for envelope in events {
        use RoomEvent as E;
        match &envelope.event {
            Event::Room(
                E::MessageSent { sender_id: member, .. } | E::GroupRoomCreated { creator: member, .. },
            ) => {
                named.insert(*member);
            }
            Event::Room(E::MemberJoined { member_id, .. } | E::MemberLeft { member_id, .. }) => {
                named.insert(*member_id);
            }
            Event::Room(E::DirectRoomOpened { members, .. }) => named.extend(members),
            _ => {}
        }
    }
    let ids = named.into_iter().map(|member| values::id(member.as_uuid())).collect();
    let rows = bulk::select_in(db, "member_id, display_name", "message_senders", "member_id", ids).await?;
    let read =
        |row: &sea_orm::QueryResult| Ok((values::id_of(row, "member_id")?, row.try_get("", "display_name")?));
    rows.iter().map(read).collect()
}
