//! Read models: everything that anybody reads is folded from the event log here, and can be thrown away and folded
//! again.
//!
//! [`ReadModels`] is the way in. Its runner reads the log after its checkpoint, writes rows and checkpoint in one
//! transaction ([`Projection`] says what a projection is), then hands the changes to the broadcast. Operators rebuild,
//! verify, roll back and drop versions by [`Admin`], from this process or another one, while all of that goes on.

mod admin;
mod bulk;
mod db;
mod diagnosis;
mod dialect;
pub mod entities;
mod error;
mod failures;
mod feed;
mod follow;
mod group;
mod lead;
mod meta;
mod observer;
mod patience;
mod projection;
pub mod projections;
mod publish;
mod read_models;
mod readers;
mod redis_unread;
mod replay;
mod runner;
mod shared;
mod switch;
mod values;

pub use admin::{Admin, Difference, Progress, ProjectionStatus, Stage, Verified};
pub use db::PoolStatus;
pub use error::ProjectionError;
pub use observer::{BatchReport, NoObserver, Observer};
pub use projection::{Changes, Projection};
pub use read_models::{Options, ReadModels};
pub use readers::{PAGE_MAX, READ_LIMIT};
pub use redis_unread::{NAME as REDIS_UNREAD, ReadStatistics, RedisUnread, RedisUnreadAdmin};
