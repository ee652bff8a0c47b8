//! The operations under `/api/v1`, one file for each group. Each is one call of the application.

mod admin;
mod auth;
mod direct_rooms;
mod me;
mod members;
mod memberships;
mod messages;
mod rooms;
mod views;

use super::{
    events::EventsApi,
    input::{Text, Whole},
};
use poem_openapi::Tags;
use verbatim_application::queries::{PAGE_DEFAULT, PAGE_MAX};

/// The groups of operations, as the document sorts them.
#[derive(Tags)]
pub(super) enum Group {
    /// Accounts and the directory of members.
    #[oai(rename = "members")]
    Members,
    /// Log in and out; tokens and tickets.
    #[oai(rename = "auth")]
    Auth,
    /// Group rooms.
    #[oai(rename = "rooms")]
    Rooms,
    /// Who is in a room.
    #[oai(rename = "memberships")]
    Memberships,
    /// What is said in a room.
    #[oai(rename = "messages")]
    Messages,
    /// Rooms of two.
    #[oai(rename = "direct rooms")]
    DirectRooms,
    /// What concerns oneself.
    #[oai(rename = "me")]
    Me,
    /// Event streams (SSE).
    #[oai(rename = "events")]
    Events,
    /// For operators (role admin).
    #[oai(rename = "admin")]
    Admin,
}

/// All groups.
pub(super) type Apis = (
    members::MembersApi,
    auth::AuthApi,
    rooms::RoomsApi,
    memberships::MembershipsApi,
    messages::MessagesApi,
    direct_rooms::DirectRoomsApi,
    me::MeApi,
    EventsApi,
    admin::AdminApi,
);

/// All groups.
pub(super) fn apis() -> Apis {
    (
        members::MembersApi,
        auth::AuthApi,
        rooms::RoomsApi,
        memberships::MembershipsApi,
        messages::MessagesApi,
        direct_rooms::DirectRoomsApi,
        me::MeApi,
        EventsApi,
        admin::AdminApi,
    )
}

const LIMIT_MAX: u64 = PAGE_MAX as u64;

/// How many items a page may have.
type Limit = Option<Whole<1, LIMIT_MAX>>;
/// Where a page begins.
type Cursor = Option<Text<1, 512>>;

fn limit(limit: &Limit) -> usize {
    limit.and_then(|limit| usize::try_from(limit.0).ok()).unwrap_or(PAGE_DEFAULT)
}

fn cursor(cursor: &Cursor) -> Option<&str> {
    cursor.as_ref().map(|cursor| cursor.0.as_str())
}
