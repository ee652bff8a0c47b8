//! Group rooms, and any room by its id.

use super::{Cursor, Group, Limit, cursor, limit, views::RoomPage};
use crate::http::{
    answer::{Created, Failure, Plain, statuses},
    auth::Auth,
    body::{Body, body},
    context::{Once, Seen},
    param::{Query, Segment},
};
use poem::web::Data;
use poem_openapi::OpenApi;
use std::sync::Arc;
use verbatim_application::{App, views::RoomView};
use verbatim_domain::{RoomId, text::RoomName};

body! {
    /// A room to open.
    CreateRoomBody {
        /// Its name: one line.
        name: RoomName,
    }
}

statuses! {
    /// Of opening a room.
    CreateRoom: 409;
    /// Of the list of rooms.
    DiscoverRooms: ;
    /// Of one room.
    GetRoom: 403 404;
}

pub(in crate::http) struct RoomsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Rooms")]
impl RoomsApi {
    /// Open a group room
    ///
    /// Whoever opens it is in it, as its owner.
    #[oai(path = "/rooms", method = "post", operation_id = "create_room")]
    async fn create(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// The client's name for this attempt: repeated with it, the request gives the first answer again.
        #[oai(name = "Idempotency-Key")]
        once: Once,
        body: Body<CreateRoomBody>,
    ) -> Result<Created<RoomView>, Failure<CreateRoom>> {
        Ok(Created::of(app.create_room(auth.member(), body.0.name, once.0).await?))
    }

    /// Discover group rooms
    ///
    /// Open ones, newest first.
    #[oai(path = "/rooms", method = "get", operation_id = "discover_rooms")]
    async fn discover(
        &self,
        app: Data<&Arc<App>>,
        _auth: Auth,
        /// `next` of the page before.
        #[oai(name = "cursor")]
        from: Query<Cursor>,
        /// Most items of the page; 50 unless given.
        #[oai(name = "limit")]
        most: Query<Limit>,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<RoomPage>, Failure<DiscoverRooms>> {
        Ok(Plain(app.discover_rooms(cursor(&from.0), limit(&most.0)).await?.into()))
    }

    /// Look at a room
    ///
    /// A group room, or a direct room one is in.
    #[oai(path = "/rooms/:room_id", method = "get", operation_id = "get_room")]
    async fn get(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// The room.
        room_id: Segment<RoomId>,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<RoomView>, Failure<GetRoom>> {
        Ok(Plain(app.room(auth.member(), room_id.0).await?))
    }
}
