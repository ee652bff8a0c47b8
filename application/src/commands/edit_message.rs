//! Saying it otherwise.

use crate::{
    AppError,
    app::{App, Context, Done, claim, wrong_event},
    bus::{Command, Executed},
    codec::{Event, Streamed},
    commands::Sent,
    views::MessageView,
};
use verbatim_domain::{
    MemberId, RoomId,
    room::{MessageRef, RoomCommand, RoomEvent},
    text::MessageBody,
};

/// [`Command::name`] of an edit, which its idempotency key is tied to.
const EDIT: &str = "edit_message";

impl App {
    /// Edits one's own message.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`, `message_not_found`, `not_the_sender`, `message_deleted`;
    /// `idempotency_key_reused`.
    pub async fn edit_message(
        &self,
        by: MemberId,
        room_id: RoomId,
        seq: u64,
        body: MessageBody,
        context: Context,
    ) -> Result<Done<MessageView>, AppError> {
        let (room, number, text) = (room_id.to_string(), seq.to_string(), body.to_string());
        let content = [room.as_str(), &number, &text];
        if let Some(key) = &context.idempotency_key
            && let Some(first) = self.done_before(&claim(EDIT, by, key, &content)).await?
        {
            // It was allowed then, whatever has become of the member since.
            let sent = self.find_message(None, room_id, seq).await?;
            return self.edited(sent, &first).await;
        }
        let sent = self.find_message(Some(by), room_id, seq).await?;
        let original = MessageRef { seq, message_id: sent.message_id, sender_id: sent.sender_id };
        let command = RoomCommand::EditMessage { original, by, body, at: self.clock.now() };
        let intent = self.intent(room_id.stream(), Command::Room(command), by, context, &content);
        let executed = self.bus.execute(intent).await?;
        self.edited(sent, &executed).await
    }

    async fn edited(&self, sent: Sent, executed: &Executed) -> Result<Done<MessageView>, AppError> {
        let Some(Event::Room(RoomEvent::MessageEdited { body, edited_at, .. })) = executed.events.first()
        else {
            return Err(wrong_event());
        };
        let view = MessageView {
            message_id: sent.message_id,
            room_id: sent.room_id,
            seq: sent.seq,
            sender_id: sent.sender_id,
            sender_name: self.profile(sent.sender_id).await?.display_name.to_string(),
            body: body.to_string(),
            sent_at: sent.sent_at,
            edited_at: Some(*edited_at),
            deleted: false,
        };
        Ok(Done::of(view, executed))
    }
}
