//! The **Member** aggregate: one account.

mod command;
mod event;

pub use command::MemberCommand;
pub use event::MemberEvent;

use crate::{
    Decider, ErrorKind, MemberId, Rejection,
    decider::cqrs_shim,
    text::{DisplayName, Email, PasswordHash},
};
use serde::{Deserialize, Serialize};

/// What a member may do beyond chatting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Nothing more.
    #[default]
    Member,
    /// Operate the service: projections, rebuilds.
    Admin,
}

/// Why a member command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// No such account.
    #[error("there is no such member")]
    NotFound,
    /// The id is in use.
    #[error("this member exists already")]
    AlreadyRegistered,
}

impl Rejection for MemberError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "member_not_found",
            Self::AlreadyRegistered => "member_exists",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::AlreadyRegistered => ErrorKind::Conflict,
        }
    }
}

/// What an account is, once registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Who it is.
    pub member_id: MemberId,
    /// The address as typed at registration.
    pub email: Email,
    /// What others see.
    pub display_name: DisplayName,
    /// Hash of the password; absent for accounts that can't log in (imported authors).
    pub password_hash: Option<PasswordHash>,
    /// What the member may do.
    pub role: MemberRole,
    /// How often the password was changed: tokens issued before the last change are void.
    pub password_changes: u32,
}

/// One account.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    profile: Option<Profile>,
}

impl Member {
    /// The account, unless the stream is empty.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }
}

impl Decider for Member {
    fn decide(&self, command: &MemberCommand) -> Result<Vec<MemberEvent>, MemberError> {
        use MemberCommand as C;
        if let C::Register { member_id, email, display_name, password_hash, at } = command {
            return match self.profile {
                Some(_) => Err(MemberError::AlreadyRegistered),
                None => Ok(vec![MemberEvent::MemberRegistered {
                    member_id: *member_id,
                    email: email.clone(),
                    display_name: display_name.clone(),
                    password_hash: password_hash.clone(),
                    at: *at,
                }]),
            };
        }
        let profile = self.profile.as_ref().ok_or(MemberError::NotFound)?;
        let member_id = profile.member_id;
        Ok(match command {
            C::Register { .. } => vec![],
            C::ChangeDisplayName { display_name, .. } if *display_name == profile.display_name => vec![],
            C::ChangeDisplayName { display_name, at } => {
                vec![MemberEvent::DisplayNameChanged {
                    member_id,
                    display_name: display_name.clone(),
                    at: *at,
                }]
            }
            C::ChangePassword { password_hash, at } => {
                vec![MemberEvent::PasswordChanged {
                    member_id,
                    password_hash: password_hash.clone(),
                    at: *at,
                }]
            }
            C::ChangeRole { role, .. } if *role == profile.role => vec![],
            C::ChangeRole { role, at } => {
                vec![MemberEvent::MemberRoleChanged { member_id, role: *role, at: *at }]
            }
        })
    }

    fn evolve(&mut self, event: &MemberEvent) {
        use MemberEvent as E;
        if let E::MemberRegistered { member_id, email, display_name, password_hash, .. } = event {
            self.profile = Some(Profile {
                member_id: *member_id,
                email: email.clone(),
                display_name: display_name.clone(),
                password_hash: password_hash.clone(),
                role: MemberRole::Member,
                password_changes: 0,
            });
            return;
        }
        let Some(profile) = self.profile.as_mut() else { return };
        match event {
            E::MemberRegistered { .. } => {}
            E::DisplayNameChanged { display_name, .. } => profile.display_name = display_name.clone(),
            E::PasswordChanged { password_hash, .. } => {
                profile.password_hash = Some(password_hash.clone());
                profile.password_changes = profile.password_changes.saturating_add(1);
            }
            E::MemberRoleChanged { role, .. } => profile.role = *role,
        }
    }
}

cqrs_shim!(Member, "member", MemberCommand, MemberEvent, MemberError);
