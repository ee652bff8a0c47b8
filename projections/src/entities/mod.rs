//! The views that readers use, as sea-orm entities. They show the active version of each projection, whatever its
//! number; nothing is written through them.

pub mod member;
pub mod message;
pub mod room;
pub mod unread_count;
