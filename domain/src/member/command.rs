//! What can be asked of a member.

use super::MemberRole;
use crate::{
    MemberId, Timestamp,
    text::{DisplayName, Email, PasswordHash},
};

/// A command to one account.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberCommand {
    /// Open the account.
    Register {
        /// Its id, issued by the caller.
        member_id: MemberId,
        /// The address, claimed in the same append.
        email: Email,
        /// What others see.
        display_name: DisplayName,
        /// Hash of the password; absent for accounts that can't log in.
        password_hash: Option<PasswordHash>,
        /// When.
        at: Timestamp,
    },
    /// Show another name from now on.
    ChangeDisplayName {
        /// The new name.
        display_name: DisplayName,
        /// When.
        at: Timestamp,
    },
    /// Use another password; the caller has verified the old one.
    ChangePassword {
        /// Hash of the new one.
        password_hash: PasswordHash,
        /// When.
        at: Timestamp,
    },
    /// Give or take the right to operate the service.
    ChangeRole {
        /// The new role.
        role: MemberRole,
        /// When.
        at: Timestamp,
    },
}
