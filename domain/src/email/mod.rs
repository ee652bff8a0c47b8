//! The **Email** aggregate: one stream per address, whose first event says whose it is. Two registrations of one
//! address collide on that event's sequence in the log, on any number of nodes; nothing else makes it unique.

use crate::{Decider, ErrorKind, MemberId, Rejection, Timestamp, decider::cqrs_shim, text::Email as Address};
use serde::{Deserialize, Serialize};

/// What can be asked of an address.
#[derive(Debug, Clone, PartialEq)]
pub enum EmailCommand {
    /// Reserve it for a member, for good.
    Claim {
        /// The address as typed.
        email: Address,
        /// Who wants it.
        member_id: MemberId,
        /// When.
        at: Timestamp,
    },
}

/// What can happen to an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EmailEvent {
    /// It belongs to a member from now on.
    EmailClaimed {
        /// The address as typed.
        email: Address,
        /// Whose it is.
        member_id: MemberId,
        /// When.
        at: Timestamp,
    },
}

impl EmailEvent {
    /// The event's stable name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::EmailClaimed { .. } => "EmailClaimed",
        }
    }

    /// The version of its payload's shape.
    #[must_use]
    pub fn version(&self) -> &'static str {
        "1"
    }
}

/// Why an address can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Another member has it.
    #[error("this e-mail address is taken")]
    Taken,
}

impl Rejection for EmailError {
    fn code(&self) -> &'static str {
        "email_taken"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}

/// One address.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Email {
    claimed_by: Option<MemberId>,
}

impl Email {
    /// Whose it is, if anybody's.
    #[must_use]
    pub fn owner(&self) -> Option<MemberId> {
        self.claimed_by
    }
}

impl Decider for Email {
    fn decide(&self, command: &EmailCommand) -> Result<Vec<EmailEvent>, EmailError> {
        let EmailCommand::Claim { email, member_id, at } = command;
        match self.claimed_by {
            Some(owner) if owner == *member_id => Ok(vec![]),
            Some(_) => Err(EmailError::Taken),
            None => {
                Ok(vec![EmailEvent::EmailClaimed { email: email.clone(), member_id: *member_id, at: *at }])
            }
        }
    }

    fn evolve(&mut self, event: &EmailEvent) {
        let EmailEvent::EmailClaimed { member_id, .. } = event;
        self.claimed_by = Some(*member_id);
    }
}

cqrs_shim!(Email, "email", EmailCommand, EmailEvent, EmailError);
