//! Saying it otherwise.

use crate::{
    AppError,
    app::{App, Context, Done, wrong_event},
    bus::Command,
    codec::{Event, Streamed},
    views::MessageView,
};
use verbatim_domain::{
    MemberId, RoomId,
    room::{MessageRef, RoomCommand, RoomEvent},
    text::MessageBody,
};

impl App {
    /// Edits one's own message.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`, `message_not_found`, `not_the_sender`, `message_deleted`.
    pub async fn edit_message(
        &self,
        by: MemberId,
        room_id: RoomId,
        seq: u64,
        body: MessageBody,
        context: Context,
    ) -> Result<Done<MessageView>, AppError> {
        let sent = self.find_message(by, room_id, seq).await?;
        let original = MessageRef { seq, message_id: sent.message_id, sender_id: sent.sender_id };
        let (room, number, text) = (room_id.to_string(), seq.to_string(), body.to_string());
        let command = RoomCommand::EditMessage { original, by, body, at: self.clock.now() };
        let intent =
            self.intent(room_id.stream(), Command::Room(command), by, context, &[&room, &number, &text]);
        let executed = self.bus.execute(intent).await?;
        match executed.events.first() {
            Some(Event::Room(RoomEvent::MessageEdited { body, edited_at, .. })) => {
                let view = MessageView {
                    message_id: sent.message_id,
                    room_id,
                    seq,
                    sender_id: sent.sender_id,
                    sender_name: self.profile(sent.sender_id).await?.display_name.to_string(),
                    body: body.to_string(),
                    sent_at: sent.sent_at,
                    edited_at: Some(*edited_at),
                    deleted: false,
                };
                Ok(Done::of(view, &executed))
            }
            _ => Err(wrong_event()),
        }
    }
}
