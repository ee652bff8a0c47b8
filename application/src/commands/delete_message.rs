//! Taking it back.

use crate::{
    AppError,
    app::{App, Context, Done},
    bus::Command,
    codec::Streamed,
};
use verbatim_domain::{
    MemberId, RoomId,
    room::{MessageRef, RoomCommand},
};

impl App {
    /// Deletes one's own message. Deleting it twice changes nothing and is no error.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`, `message_not_found`, `not_the_sender`.
    pub async fn delete_message(
        &self,
        by: MemberId,
        room_id: RoomId,
        seq: u64,
        context: Context,
    ) -> Result<Done<()>, AppError> {
        let sent = self.find_message(Some(by), room_id, seq).await?;
        let original = MessageRef { seq, message_id: sent.message_id, sender_id: sent.sender_id };
        let context = Context { idempotency_key: None, ..context };
        let command = RoomCommand::DeleteMessage { original, by, at: self.clock.now() };
        let intent = self.intent(room_id.stream(), Command::Room(command), by, context, &[]);
        let executed = self.bus.execute(intent).await?;
        Ok(Done::of((), &executed))
    }
}
