//! The schema of the read models.
//!
//! Every projection keeps its rows in physical tables that carry a version in their name (`messages_v1`), so that a new
//! version can be filled beside the one that is read. Whoever reads (this program, analysts) uses views with stable
//! names (`message_history`), which show the active version. [`meta`] holds which version that is.

mod install;
pub mod meta;
mod migrator;
mod models;
mod table;

pub use install::{create_tables, create_views, drop_tables, install};
pub use migrator::Migrator;
pub use models::{MEMBERS, MESSAGE_HISTORY, MODELS, ROOMS, UNREAD};
pub use table::{Column, Index, Kind, ReadModel, Table, View, physical};
