//! Marking messages read.

use crate::{
    AppError, ErrorClass,
    app::{App, Context, Done},
    bus::{Command, Executed},
    codec::Streamed,
    views::UnreadView,
};
use std::time::Duration;
use verbatim_domain::{CursorId, MemberId, RoomId, read_cursor::ReadCursorCommand};

/// How long the answer waits for the unread projection to take the command in.
const PROJECTION_LIMIT: Duration = Duration::from_secs(5);

impl App {
    /// Marks everything up to `seq` read. It never moves back; beyond the last message it is clamped.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`.
    pub async fn mark_read(
        &self,
        member_id: MemberId,
        room_id: RoomId,
        seq: u64,
        context: Context,
    ) -> Result<Done<UnreadView>, AppError> {
        let executed = self.advance_cursor(member_id, room_id, seq, context).await?;
        // A cursor that moved did so after the room's last message. One that did not move may be from long before it, and
        // its count would leave out messages that are acknowledged already.
        let position = match executed.events.as_slice() {
            [] => executed.position.max(self.log.head().await?),
            _ => executed.position,
        };
        if !self.positions.wait_for(position, PROJECTION_LIMIT).await {
            return Err(AppError::new(
                ErrorClass::Unavailable,
                "projection_behind",
                "it is marked read; the count is not known yet",
            ));
        }
        let unread = self.unread.unread_in(member_id, &[room_id]).await?;
        // Gone from the room meanwhile: there is nothing left to read.
        let value =
            unread.first().copied().unwrap_or(UnreadView { room_id, unread: 0, last_seq: 0, read_seq: 0 });
        Ok(Done { value, position, repeated: executed.repeated })
    }

    /// Marks read without waiting for the new count: for transports that push it.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`.
    pub async fn begin_mark_read(
        &self,
        member_id: MemberId,
        room_id: RoomId,
        seq: u64,
        context: Context,
    ) -> Result<Done<()>, AppError> {
        Ok(Done::of((), &self.advance_cursor(member_id, room_id, seq, context).await?))
    }

    async fn advance_cursor(
        &self,
        member_id: MemberId,
        room_id: RoomId,
        seq: u64,
        context: Context,
    ) -> Result<Executed, AppError> {
        let last_seq = self.bus.last_seq(member_id, room_id, seq).await?;
        let command = ReadCursorCommand::MarkRead { room_id, member_id, seq, last_seq, at: self.clock.now() };
        let context = Context { idempotency_key: None, ..context };
        let stream = CursorId::of(room_id, member_id).stream();
        let intent = self.intent(stream, Command::ReadCursor(command), member_id, context, &[]);
        self.bus.execute(intent).await
    }
}
