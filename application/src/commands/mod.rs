//! The use cases that change something, one file each, and those that prove who somebody is.

mod authenticate;
mod change_profile;
mod create_room;
mod delete_message;
mod edit_message;
mod find_message;
mod import;
mod mark_read;
mod membership;
mod open_direct_room;
mod register;
mod send_message;

pub use authenticate::TokenPair;
pub use change_profile::ProfileChange;
pub use import::{ImportOutcome, ImportedMessage, Importer};
pub use membership::MembershipView;
pub use register::Registration;
pub use send_message::{Outgoing, PendingSend, PendingSends, Sent};
