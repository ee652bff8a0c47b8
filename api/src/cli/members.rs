//! `verbatim members`: roles.

use crate::{
    config::Config,
    wiring::{self, Failure},
};
use clap::Subcommand;
use std::process::ExitCode;
use verbatim_domain::member::MemberRole;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lets a member operate the service (role admin); takes effect at the next log-in or refresh
    GrantAdmin {
        /// E-mail address of the member
        email: String,
    },
    /// Takes that back
    RevokeAdmin {
        /// E-mail address of the member
        email: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<ExitCode, Failure> {
    let (email, role) = match &command {
        Command::GrantAdmin { email } => (email, MemberRole::Admin),
        Command::RevokeAdmin { email } => (email, MemberRole::Member),
    };
    let node = wiring::Node::open(config).await?;
    let done = node.app.change_role(email, role).await;
    node.close().await;
    let role = if role == MemberRole::Admin { "admin" } else { "member" };
    super::print(&format!("member {} has role {role}", done?.value));
    Ok(ExitCode::SUCCESS)
}
