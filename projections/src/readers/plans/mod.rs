//! Every query of the read side walks along a key: whatever grows, a page costs the same.

mod mysql;
mod sqlite;

use uuid::Uuid;
use verbatim_domain::{MemberId, RoomId};

const NULL: RoomId = RoomId::from_uuid(Uuid::nil());
const NOBODY: MemberId = MemberId::from_uuid(Uuid::nil());
