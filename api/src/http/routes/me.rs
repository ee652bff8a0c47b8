//! What concerns oneself.

use super::{Cursor, Group, Limit, cursor, limit, views::MyRoomPage};
use crate::http::{
    answer::{Failure, Plain, statuses},
    auth::Auth,
    context::Seen,
    param::Query,
};
use poem::web::Data;
use poem_openapi::OpenApi;
use std::sync::Arc;
use verbatim_application::App;

statuses! {
    /// Of one's own rooms.
    MyRooms: ;
}

pub(in crate::http) struct MeApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Me")]
impl MeApi {
    /// List one's own rooms
    ///
    /// Latest activity first, each with its last message and what is unread.
    #[oai(path = "/me/rooms", method = "get", operation_id = "my_rooms")]
    async fn rooms(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
        /// `next` of the page before.
        #[oai(name = "cursor")]
        from: Query<Cursor>,
        /// Most items of the page; 50 unless given.
        #[oai(name = "limit")]
        most: Query<Limit>,
        /// Log position that the answer must include.
        #[oai(name = "min_position")]
        _seen: Seen,
    ) -> Result<Plain<MyRoomPage>, Failure<MyRooms>> {
        Ok(Plain(app.my_rooms(auth.member(), cursor(&from.0), limit(&most.0)).await?.into()))
    }
}
