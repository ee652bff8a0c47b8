//! Finding a message in its room's stream.

use crate::{
    AppError,
    app::{App, wrong_event},
    codec::{Event, Streamed},
    commands::send_message::Sent,
    ports::LogError,
};
use verbatim_domain::{
    MemberId, RoomId,
    room::{RoomError, RoomEvent},
};

impl From<LogError> for AppError {
    fn from(error: LogError) -> Self {
        Self::unavailable("the event log can't be read now", error.0)
    }
}

impl App {
    /// Finds the event that sent message `seq`, in the log itself: by binary search, for the last message number
    /// never falls along a stream. A room of a million messages takes twenty look-ups, an index takes a write per message.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member` for a caller who may not read it, `message_not_found`. Without a caller, it is
    /// known already that the message may be read.
    pub(super) async fn find_message(
        &self,
        caller: Option<MemberId>,
        room_id: RoomId,
        seq: u64,
    ) -> Result<Sent, AppError> {
        let last = self
            .bus
            .room(room_id, move |room, sequence| {
                if let Some(caller) = caller {
                    room.admit(caller)?;
                }
                if seq == 0 || seq > room.last_seq() {
                    return Err(RoomError::MessageNotFound.into());
                }
                Ok(sequence)
            })
            .await?;
        // The first event opens the room, so message n is event n + 1 at the earliest.
        let (mut low, mut high) = (seq + 1, last);
        let mut found = None;
        while low <= high {
            let middle = low + (high - low) / 2;
            let event = self.room_event(room_id, middle).await?;
            if event.last_seq() >= seq {
                found = Some(event);
                high = middle - 1;
            } else {
                low = middle + 1;
            }
        }
        match found {
            Some(RoomEvent::MessageSent { room_id, message_id, seq: number, sender_id, body, sent_at })
                if number == seq =>
            {
                Ok(Sent { message_id, room_id, seq, sender_id, body, sent_at })
            }
            _ => Err(wrong_event()),
        }
    }

    async fn room_event(&self, room_id: RoomId, sequence: u64) -> Result<RoomEvent, AppError> {
        let events = self.log.load(room_id.stream(), sequence - 1, 1).await?;
        let recorded = events.first().ok_or_else(wrong_event)?;
        match Event::decode(recorded).map_err(AppError::internal)? {
            Event::Room(event) => Ok(event),
            _ => Err(wrong_event()),
        }
    }
}
