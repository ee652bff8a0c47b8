//! Rooms of two.

use super::Group;
use crate::http::{
    answer::{Command, Failure, statuses},
    auth::Auth,
    context::Plainly,
    param::Segment,
};
use poem::web::Data;
use poem_openapi::OpenApi;
use std::sync::Arc;
use verbatim_application::{App, views::RoomView};
use verbatim_domain::MemberId;

statuses! {
    /// Of opening a direct room.
    OpenDirectRoom: 404 409 422;
}

pub(in crate::http) struct DirectRoomsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::DirectRooms")]
impl DirectRoomsApi {
    /// Get the direct room with another member
    ///
    /// It is opened if need be. There is one for any two members, whoever asks first.
    #[oai(path = "/direct-rooms/:member_id", method = "put", operation_id = "open_direct_room")]
    async fn open(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        plainly: Plainly,
        /// The other member.
        member_id: Segment<MemberId>,
    ) -> Result<Command<RoomView>, Failure<OpenDirectRoom>> {
        let done = app.open_direct_room(auth.member(), member_id.0, plainly.0).await?;
        Ok(Command::of(done, |room| room))
    }
}
