//! Who is in a room.

use super::{Cursor, Group, Limit, cursor, limit, views::RoomMemberPage};
use crate::http::{
    answer::{Command, Failure, Nothing, Plain, statuses},
    auth::Auth,
    body::{Body, body},
    context::{Plainly, Seen},
    input::MemberRef,
    param::{Query, Segment},
    schema::describe,
};
use poem::web::Data;
use poem_openapi::OpenApi;
use serde::Serialize;
use std::sync::Arc;
use verbatim_application::{App, commands::MembershipView};
use verbatim_domain::{MemberId, RoomId};

body! {
    /// Who is to be in the room.
    AddMemberBody {
        /// Somebody else; oneself without it.
        member_id: Option<MemberId>,
    }
}

#[derive(Debug, Serialize)]
struct Membership {
    room_id: RoomId,
    member_id: MemberId,
    changed: bool,
}

describe! {
    Membership as "Membership", "Somebody who is in a room." {
        room_id: RoomId = "The room.",
        member_id: MemberId = "The member.",
        changed: bool = "Whether the request changed anything; not if the member was in already.",
    }
}

impl From<MembershipView> for Membership {
    fn from(view: MembershipView) -> Self {
        Self { room_id: view.room_id, member_id: view.member_id, changed: view.changed }
    }
}

statuses! {
    /// Of joining and adding.
    AddMember: 403 404 409 422;
    /// Of the list of members.
    ListRoomMembers: 403 404;
    /// Of leaving and removing.
    RemoveMember: 403 404 409 422;
}

pub(in crate::http) struct MembershipsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Memberships")]
impl MembershipsApi {
    /// Join a group room, or add somebody to it
    ///
    /// `{}` joins; with `member_id`, a member of the room brings somebody else in. Being in already is no error.
    #[oai(path = "/rooms/:room_id/members", method = "post", operation_id = "add_member")]
    async fn add(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        /// The room.
        room_id: Segment<RoomId>,
        body: Body<AddMemberBody>,
    ) -> Result<Command<Membership>, Failure<AddMember>> {
        let me = auth.member();
        let done = match body.0.member_id {
            None => app.join_room(me, room_id.0, plainly.0).await?,
            Some(member) => app.add_member(me, member, room_id.0, plainly.0).await?,
        };
        Ok(Command::of(done, Membership::from))
    }

    /// List the members of a room one is in
    ///
    /// Longest-standing first.
    #[oai(path = "/rooms/:room_id/members", method = "get", operation_id = "list_room_members")]
    async fn list(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// The room.
        room_id: Segment<RoomId>,
        /// `next` of the page before.
        #[oai(name = "cursor")]
        from: Query<Cursor>,
        /// Most items of the page; 50 unless given.
        #[oai(name = "limit")]
        most: Query<Limit>,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<RoomMemberPage>, Failure<ListRoomMembers>> {
        let page = app.room_members(auth.member(), room_id.0, cursor(&from.0), limit(&most.0)).await?;
        Ok(Plain(page.into()))
    }

    /// Leave a group room, or put somebody out of it
    ///
    /// `me` leaves; another member's id puts that member out, which is for owners. Being out already is no error.
    #[oai(path = "/rooms/:room_id/members/:member_id", method = "delete", operation_id = "remove_member")]
    async fn remove(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        /// The room.
        room_id: Segment<RoomId>,
        /// The member, or `me`.
        member_id: Segment<MemberRef>,
    ) -> Result<Command<Nothing, 204>, Failure<RemoveMember>> {
        let me = auth.member();
        let done = match member_id.0 {
            MemberRef::Id(member) if member != me => {
                app.remove_member(me, member, room_id.0, plainly.0).await?
            }
            MemberRef::Id(_) | MemberRef::Me => app.leave_room(me, room_id.0, plainly.0).await?,
        };
        Ok(Command::of(done, |_| Nothing))
    }
}
