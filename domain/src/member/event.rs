//! What can happen to a member.

use super::MemberRole;
use crate::{
    MemberId, Timestamp,
    text::{DisplayName, Email, PasswordHash},
};
use serde::{Deserialize, Serialize};

/// An event of one account. Stored forever: change a shape only by a new version and an upcaster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MemberEvent {
    /// The account exists.
    MemberRegistered {
        /// Its id.
        member_id: MemberId,
        /// The address as typed.
        email: Email,
        /// What others see.
        display_name: DisplayName,
        /// Hash of the password, unless the account can't log in.
        password_hash: Option<PasswordHash>,
        /// When.
        at: Timestamp,
    },
    /// Others see another name.
    DisplayNameChanged {
        /// Whose.
        member_id: MemberId,
        /// The new name.
        display_name: DisplayName,
        /// When.
        at: Timestamp,
    },
    /// The password is another.
    PasswordChanged {
        /// Whose.
        member_id: MemberId,
        /// Hash of the new one.
        password_hash: PasswordHash,
        /// When.
        at: Timestamp,
    },
    /// The member may do more, or less, than before.
    MemberRoleChanged {
        /// Whose.
        member_id: MemberId,
        /// The new role.
        role: MemberRole,
        /// When.
        at: Timestamp,
    },
}

impl MemberEvent {
    /// The event's stable name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MemberRegistered { .. } => "MemberRegistered",
            Self::DisplayNameChanged { .. } => "DisplayNameChanged",
            Self::PasswordChanged { .. } => "PasswordChanged",
            Self::MemberRoleChanged { .. } => "MemberRoleChanged",
        }
    }

    /// The version of its payload's shape.
    #[must_use]
    pub fn version(&self) -> &'static str {
        "1"
    }
}
