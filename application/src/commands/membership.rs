//! Joining, adding, leaving, removing.

use crate::{
    AppError,
    app::{App, Context, Done},
    bus::Command,
    codec::Streamed,
};
use verbatim_domain::{MemberId, RoomId, room::RoomCommand};

/// Where a member stands with a room, after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipView {
    /// The room.
    pub room_id: RoomId,
    /// The member.
    pub member_id: MemberId,
    /// Whether the command changed anything: it did not if the member was in already (or gone already).
    pub changed: bool,
}

impl App {
    /// Joins a group room.
    ///
    /// # Errors
    /// `room_not_found`, `room_closed`, `room_full`, `direct_room_is_fixed`.
    pub async fn join_room(
        &self,
        member_id: MemberId,
        room_id: RoomId,
        context: Context,
    ) -> Result<Done<MembershipView>, AppError> {
        let command = RoomCommand::Join { member_id, at: self.clock.now() };
        self.membership(member_id, member_id, room_id, command, context).await
    }

    /// Brings another member into a group room one is in.
    ///
    /// # Errors
    /// As [`Self::join_room`]; `not_a_member` for an outsider, `member_not_found` if nobody has that id.
    pub async fn add_member(
        &self,
        by: MemberId,
        member_id: MemberId,
        room_id: RoomId,
        context: Context,
    ) -> Result<Done<MembershipView>, AppError> {
        if by == member_id {
            return self.join_room(by, room_id, context).await;
        }
        self.profile(member_id).await?;
        let command = RoomCommand::AddMember { by, member_id, at: self.clock.now() };
        self.membership(by, member_id, room_id, command, context).await
    }

    /// Leaves a group room.
    ///
    /// # Errors
    /// `room_not_found`, `direct_room_is_fixed`.
    pub async fn leave_room(
        &self,
        member_id: MemberId,
        room_id: RoomId,
        context: Context,
    ) -> Result<Done<MembershipView>, AppError> {
        let command = RoomCommand::Leave { member_id, at: self.clock.now() };
        self.membership(member_id, member_id, room_id, command, context).await
    }

    /// Puts a member out of a group room one owns.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`, `not_an_owner`, `direct_room_is_fixed`.
    pub async fn remove_member(
        &self,
        by: MemberId,
        member_id: MemberId,
        room_id: RoomId,
        context: Context,
    ) -> Result<Done<MembershipView>, AppError> {
        let command = RoomCommand::RemoveMember { by, member_id, at: self.clock.now() };
        self.membership(by, member_id, room_id, command, context).await
    }

    async fn membership(
        &self,
        by: MemberId,
        member_id: MemberId,
        room_id: RoomId,
        command: RoomCommand,
        context: Context,
    ) -> Result<Done<MembershipView>, AppError> {
        // Being in or out is a state, not a creation: repeating the command is harmless without a key.
        let context = Context { idempotency_key: None, ..context };
        let intent = self.intent(room_id.stream(), Command::Room(command), by, context, &[]);
        let executed = self.bus.execute(intent).await?;
        let view = MembershipView { room_id, member_id, changed: !executed.events.is_empty() };
        Ok(Done::of(view, &executed))
    }
}
