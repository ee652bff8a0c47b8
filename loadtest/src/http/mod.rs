//! A client for the REST and SSE doors.

mod client;
mod sse;
mod types;

pub use client::{Api, CallError};
pub use sse::{Event, EventParser, EventStream, MAX_EVENT_BYTES};
pub use types::{Login, Member, Message, MyRoom, Page, ReadCursor, Room, SeqPage};
