//! The projections, one file each.

mod members;
mod message_history;
mod message_pushes;
mod rooms;
mod unread;

pub use members::Members;
pub(crate) use members::search_key;
pub use message_history::MessageHistory;
pub use rooms::Rooms;
#[cfg(test)]
pub(crate) use unread::Cursor;
pub use unread::Unread;
pub(crate) use unread::UnreadChanges;

use crate::Projection;
use std::sync::Arc;

/// All projections of the embedded service, which live in one database and are run as one group.
#[must_use]
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![Arc::new(Rooms), Arc::new(MessageHistory), Arc::new(Members), Arc::new(Unread)]
}
