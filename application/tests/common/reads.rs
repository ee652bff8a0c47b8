//! Read models that are folded from the log at each question: always up to date, never fast.

use super::FakeLog;
use async_trait::async_trait;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use verbatim_application::{
    codec::Event,
    ports::{
        HistoryReader, MemberReader, Page, Positions, Range, ReadError, RoomReader, UnreadReader,
        UnreadSnapshot,
    },
    views::{MemberView, MessageView, MyRoomView, RoomMemberView, RoomView, UnreadView},
};
use verbatim_domain::{
    MemberId, RoomId,
    read_cursor::ReadCursorEvent,
    room::{RoomEvent, RoomKind},
};

/// All read models in one fake.
pub(crate) struct Reads {
    log: Arc<FakeLog>,
    /// The projections do not come along.
    pub(crate) stuck: AtomicBool,
    /// Positions that were waited for.
    pub(crate) waited: Mutex<Vec<u64>>,
    /// Limits that were asked for.
    pub(crate) limits: Mutex<Vec<usize>>,
}

impl Reads {
    pub(crate) fn of(log: Arc<FakeLog>) -> Self {
        Self { log, stuck: AtomicBool::new(false), waited: Mutex::default(), limits: Mutex::default() }
    }

    fn events(&self) -> Vec<Event> {
        self.log.events().iter().map(|event| Event::decode(event).expect("it decodes")).collect()
    }

    fn limit(&self, limit: usize) -> usize {
        self.limits.lock().expect("no test panics with the lock held").push(limit);
        limit
    }

    fn view(&self, member: MemberId, room: RoomId) -> UnreadView {
        let mut view = UnreadView { room_id: room, unread: 0, last_seq: 0, read_seq: 0 };
        for event in self.events() {
            match event {
                Event::Room(event) if event.room_id() == room => {
                    view.last_seq = event.last_seq();
                    if let RoomEvent::MessageSent { sender_id, seq, .. } = event
                        && sender_id == member
                    {
                        view.read_seq = seq;
                    }
                }
                Event::ReadCursor(ReadCursorEvent::ReadCursorAdvanced {
                    room_id, member_id, seq, ..
                }) if (room_id, member_id) == (room, member) => {
                    view.read_seq = seq;
                }
                _ => {}
            }
        }
        view.unread = view.last_seq - view.read_seq;
        view
    }
}

#[async_trait]
impl HistoryReader for Reads {
    async fn messages(&self, room: RoomId, _: Range, limit: usize) -> Result<Vec<MessageView>, ReadError> {
        let sent = self.events().into_iter().filter_map(|event| match event {
            Event::Room(RoomEvent::MessageSent { room_id, message_id, seq, sender_id, body, sent_at }) => {
                Some(MessageView {
                    message_id,
                    room_id,
                    seq,
                    sender_id,
                    sender_name: String::new(),
                    body: body.into(),
                    sent_at,
                    edited_at: None,
                    deleted: false,
                })
            }
            _ => None,
        });
        Ok(sent.filter(|message| message.room_id == room).take(self.limit(limit)).collect())
    }

    async fn message(&self, room: RoomId, seq: u64) -> Result<Option<MessageView>, ReadError> {
        Ok(self.messages(room, Range::Newest, 1_000).await?.into_iter().find(|message| message.seq == seq))
    }
}

#[async_trait]
impl RoomReader for Reads {
    async fn room(&self, _: RoomId) -> Result<Option<RoomView>, ReadError> {
        Ok(None)
    }

    async fn discover(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RoomView>, ReadError> {
        if cursor.is_some() {
            return Err(ReadError::BadCursor);
        }
        self.limit(limit);
        Ok(Page { items: vec![], next: None })
    }

    async fn members(
        &self,
        _: RoomId,
        _: Option<&str>,
        limit: usize,
    ) -> Result<Page<RoomMemberView>, ReadError> {
        self.limit(limit);
        Ok(Page { items: vec![], next: None })
    }

    async fn rooms_of(
        &self,
        member: MemberId,
        _: Option<&str>,
        limit: usize,
    ) -> Result<Page<MyRoomView>, ReadError> {
        let items = self.events().into_iter().filter_map(|event| match event {
            Event::Room(RoomEvent::GroupRoomCreated { room_id, name, creator, at }) if creator == member => {
                let room = RoomView {
                    room_id,
                    kind: RoomKind::Group,
                    name: Some(name.into()),
                    member_count: 1,
                    last_seq: 0,
                    created_at: at,
                };
                Some(MyRoomView { room, unread: 0, read_seq: 0, last_message: None })
            }
            _ => None,
        });
        Ok(Page { items: items.take(self.limit(limit)).collect(), next: None })
    }
}

#[async_trait]
impl MemberReader for Reads {
    async fn search(&self, _: &str, _: Option<&str>, limit: usize) -> Result<Page<MemberView>, ReadError> {
        self.limit(limit);
        Err(ReadError::Unavailable("no such table".into()))
    }

    async fn member(&self, _: MemberId) -> Result<Option<MemberView>, ReadError> {
        Ok(None)
    }
}

#[async_trait]
impl UnreadReader for Reads {
    async fn unread_in(&self, member: MemberId, rooms: &[RoomId]) -> Result<Vec<UnreadView>, ReadError> {
        Ok(rooms.iter().map(|room| self.view(member, *room)).collect())
    }

    async fn unread(&self, _: MemberId) -> Result<UnreadSnapshot, ReadError> {
        Ok(UnreadSnapshot { position: self.log.events().len() as u64, rooms: vec![] })
    }
}

#[async_trait]
impl Positions for Reads {
    async fn wait_for(&self, position: u64, _: Duration) -> bool {
        self.waited.lock().expect("no test panics with the lock held").push(position);
        !self.stuck.load(Ordering::SeqCst)
    }
}
