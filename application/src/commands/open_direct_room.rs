//! Opening the direct room of two members.

use crate::{
    AppError,
    app::{App, Context, Done},
    bus::Command,
    codec::Streamed,
    views::RoomView,
};
use verbatim_domain::{
    MemberId, RoomId,
    room::{Room, RoomCommand, RoomError, RoomKind},
};

/// A room as the write side knows it: newer than any projection.
pub(super) fn view(room_id: RoomId, room: &Room) -> Result<RoomView, AppError> {
    let created_at = room.created_at().ok_or(RoomError::NotFound)?;
    Ok(RoomView {
        room_id,
        kind: room.kind().unwrap_or(RoomKind::Group),
        name: room.name().map(ToString::to_string),
        member_count: room.members().len() as u64,
        last_seq: room.last_seq(),
        created_at,
    })
}

impl App {
    /// Gets the direct room with another member, opening it if need be. Its id follows from the two members, so
    /// whoever asks first, and on whichever node, there is one.
    ///
    /// # Errors
    /// `member_not_found`, `direct_room_with_oneself`.
    pub async fn open_direct_room(
        &self,
        opener: MemberId,
        other: MemberId,
        context: Context,
    ) -> Result<Done<RoomView>, AppError> {
        self.profile(other).await?;
        let room_id = RoomId::direct(opener, other);
        let command = RoomCommand::OpenDirect { room_id, opener, other, at: self.clock.now() };
        // Get-or-create is idempotent by itself.
        let context = Context { idempotency_key: None, ..context };
        let intent = self.intent(room_id.stream(), Command::Room(command), opener, context, &[]);
        let executed = self.bus.execute(intent).await?;
        let value = self.bus.room(room_id, move |room, _| view(room_id, room)).await?;
        Ok(Done::of(value, &executed))
    }

    /// A room, as one of its members or, if it is a group room, as anybody sees it.
    ///
    /// # Errors
    /// `room_not_found`; `not_a_member` for a direct room of others.
    pub async fn room(&self, caller: MemberId, room_id: RoomId) -> Result<RoomView, AppError> {
        self.bus
            .newest_room(room_id, move |room| {
                match room.kind() {
                    None => return Err(RoomError::NotFound.into()),
                    Some(RoomKind::Direct) => room.admit(caller)?,
                    Some(RoomKind::Group) => {}
                }
                view(room_id, room)
            })
            .await
    }
}
