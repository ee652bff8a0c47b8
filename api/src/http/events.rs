//! Event streams (SSE): the operations are documented and checked here; what streams is made by the hub.

use super::{
    answer::{Failure, statuses},
    auth::StreamAuth,
    input::SeqOrZero,
    param::{Header, Query, Segment},
    routes::Group,
    schema::inline,
};
use async_trait::async_trait;
use poem::{IntoResponse, Response, web::Data};
use poem_openapi::{
    ApiResponse, OpenApi,
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, Registry},
};
use std::sync::Arc;
use verbatim_application::{AppError, ports::AccessClaims};
use verbatim_domain::RoomId;

/// Makes the streams. The caller is authenticated; whether they may listen is for the implementation to check. An
/// answer is a response with `Content-Type: text/event-stream`; it has no time limit, its making has the usual one.
#[async_trait]
pub trait EventStreams: Send + Sync + 'static {
    /// One's own unread counts, and rooms joined and left.
    ///
    /// # Errors
    /// `overloaded` when too many streams are open.
    async fn own(&self, claims: AccessClaims) -> Result<Response, AppError>;

    /// What happens in a room: first what came after message `after`, if given, then live, without a gap or a
    /// duplicate between the two.
    ///
    /// # Errors
    /// `room_not_found`, `not_a_member`; `overloaded` when too many streams are open.
    async fn room(
        &self,
        claims: AccessClaims,
        room: RoomId,
        after: Option<u64>,
    ) -> Result<Response, AppError>;
}

/// A stream that has begun.
struct Stream(Response);

impl IntoResponse for Stream {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Stream {
    fn meta() -> MetaResponses {
        let schema = inline(MetaSchema {
            description: Some(
                "Server-sent events (HTML Living Standard, section 9.2): `event`, `id`, `data` in JSON.",
            ),
            ..MetaSchema::new("string")
        });
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Events, until one side ends the stream; comments as heartbeat.",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: "text/event-stream", schema }],
                headers: Vec::new(),
            }],
        }
    }

    fn register(_: &mut Registry) {}
}

statuses! {
    /// Of one's own events.
    OwnEvents: ;
    /// Of a room's events.
    RoomEvents: 403 404;
}

pub(super) struct EventsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Events")]
impl EventsApi {
    /// Follow one's own unread counts
    ///
    /// Events: `connected`; `unread` with `{room_id, unread, last_seq, read_seq}`, first the present counts, then each
    /// that changes; `room_joined` and `room_left`.
    #[oai(path = "/me/events", method = "get", operation_id = "follow_me")]
    async fn own(
        &self,
        auth: StreamAuth,
        streams: Data<&Arc<dyn EventStreams>>,
    ) -> Result<Stream, Failure<OwnEvents>> {
        Ok(Stream(streams.own(auth.claims).await?))
    }

    /// Follow a room
    ///
    /// Events: `message`, `message_edited`, `message_deleted`, `member_joined`, `member_left`, each with `id:` = seq. A
    /// stream that was cut resumes where it was with the header `Last-Event-ID` (browsers send it by themselves), the
    /// query `lastEventId` or the query `after`; of several, the first of these counts.
    #[oai(path = "/rooms/:room_id/events", method = "get", operation_id = "follow_room")]
    async fn room(
        &self,
        auth: StreamAuth,
        streams: Data<&Arc<dyn EventStreams>>,
        /// The room.
        room_id: Segment<RoomId>,
        /// Number of the last message seen, from the browser.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<SeqOrZero>>,
        /// The same from clients that can set no header.
        #[oai(name = "lastEventId")]
        last_event_id_query: Query<Option<SeqOrZero>>,
        /// Number of the last message seen: what came after it is sent first.
        after: Query<Option<SeqOrZero>>,
    ) -> Result<Stream, Failure<RoomEvents>> {
        let after = last_event_id.0.or(last_event_id_query.0).or(after.0).map(|seq| seq.0);
        Ok(Stream(streams.room(auth.claims, room_id.0, after).await?))
    }
}
