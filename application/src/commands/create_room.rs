//! Opening a group room.

use crate::{
    AppError,
    app::{App, Context, Done, wrong_event},
    bus::Command,
    codec::{Event, Streamed},
    views::RoomView,
};
use verbatim_domain::{
    MemberId, RoomId,
    room::{RoomCommand, RoomEvent, RoomKind},
    text::RoomName,
};

impl App {
    /// Opens a group room; its creator is in it, as owner.
    ///
    /// # Errors
    /// Only those of the bus.
    pub async fn create_room(
        &self,
        creator: MemberId,
        name: RoomName,
        context: Context,
    ) -> Result<Done<RoomView>, AppError> {
        let room_id = RoomId::from_uuid(self.ids.next());
        let content = name.to_string();
        let command = RoomCommand::CreateGroup { room_id, name, creator, at: self.clock.now() };
        let mut intent = self.intent(room_id.stream(), Command::Room(command), creator, context, &[&content]);
        for step in &mut intent.steps {
            step.fresh = true;
        }
        let executed = self.bus.execute(intent).await?;
        match executed.events.first() {
            Some(Event::Room(RoomEvent::GroupRoomCreated { room_id, name, at, .. })) => {
                let view = RoomView {
                    room_id: *room_id,
                    kind: RoomKind::Group,
                    name: Some(name.to_string()),
                    member_count: 1,
                    last_seq: 0,
                    created_at: *at,
                };
                Ok(Done::of(view, &executed))
            }
            _ => Err(wrong_event()),
        }
    }
}
