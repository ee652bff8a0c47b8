//! Changing one's own account.

use crate::{
    AppError, ErrorClass,
    app::{App, Caller, Context, Done},
    bus::{Command, Intent},
    codec::Streamed,
    views::AccountView,
};
use verbatim_domain::{
    MemberId,
    member::{MemberCommand, MemberRole},
    text::{DisplayName, Password},
};

/// What to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// What others see from now on.
    pub display_name: Option<DisplayName>,
    /// The password now, and the one from now on. Every other session of the member ends.
    pub password: Option<(String, Password)>,
}

impl App {
    /// One's own account.
    ///
    /// # Errors
    /// `member_not_found`
    pub async fn account(&self, member: MemberId) -> Result<AccountView, AppError> {
        let profile = self.profile(member).await?;
        Ok(AccountView {
            member_id: profile.member_id,
            email: profile.email.to_string(),
            display_name: profile.display_name.to_string(),
            role: profile.role,
        })
    }

    /// Changes one's own account.
    ///
    /// # Errors
    /// `wrong_password` when the present password is not given rightly; then nothing is changed.
    pub async fn change_profile(
        &self,
        caller: Caller,
        change: ProfileChange,
        context: Context,
    ) -> Result<Done<AccountView>, AppError> {
        let mut intent = Intent {
            steps: vec![],
            actor: None,
            correlation_id: context.correlation_id.clone(),
            trace: context.trace,
        };
        let stream = caller.member_id.stream();
        let context = Context { idempotency_key: None, ..context };
        if let Some((current, new)) = change.password {
            self.guard_password(caller.member_id, &current).await?;
            let password_hash = self.passwords.hash(new).await?;
            let command = MemberCommand::ChangePassword { password_hash, at: self.clock.now() };
            intent = self.intent(stream, Command::Member(command), caller.member_id, context.clone(), &[]);
        }
        let new_password = !intent.steps.is_empty();
        if let Some(display_name) = change.display_name {
            let command = MemberCommand::ChangeDisplayName { display_name, at: self.clock.now() };
            let renaming = self.intent(stream, Command::Member(command), caller.member_id, context, &[]);
            intent = Intent { steps: [intent.steps, renaming.steps].concat(), ..renaming };
        }
        // Both or none: an error must not leave a password behind that the caller takes for unchanged.
        let position = if intent.steps.is_empty() {
            0
        } else {
            let executed = self.bus.submit(intent)?.wait().await?;
            executed.iter().map(|step| step.position).max().unwrap_or(0)
        };
        if new_password {
            self.sessions.close_all(caller.member_id, Some(caller.session_id)).await?;
        }
        Ok(Done { value: self.account(caller.member_id).await?, position, repeated: false })
    }

    /// Checks the present password, under the same limit on guessing as a log-in: a stolen access token must not be
    /// a way to try passwords without end.
    async fn guard_password(&self, member: MemberId, password: &str) -> Result<(), AppError> {
        let profile = self.newest_profile(member).await?;
        let account = profile.email.key();
        if let Err(wait) = self.logins.attempt(&account, None, self.clock.now()).await? {
            let mut error = AppError::new(
                ErrorClass::Limited,
                "too_many_attempts",
                "too many wrong passwords for this account; wait",
            );
            error.retry_after = Some(wait);
            return Err(error);
        }
        if !self.check_password(password, profile.password_hash).await? {
            return Err(AppError::new(
                ErrorClass::Forbidden,
                "wrong_password",
                "the present password is wrong",
            ));
        }
        Ok(self.logins.succeeded(&account, None).await?)
    }

    /// Gives or takes a role: for operators, on the command line.
    ///
    /// # Errors
    /// `member_not_found`
    pub async fn change_role(&self, email: &str, role: MemberRole) -> Result<Done<MemberId>, AppError> {
        let email = verbatim_domain::text::Email::parse(email).map_err(AppError::text("email"))?;
        let id = verbatim_domain::EmailId::of(&email.key());
        let member = self.bus.email_owner(id).await?.ok_or(verbatim_domain::member::MemberError::NotFound)?;
        let command = MemberCommand::ChangeRole { role, at: self.clock.now() };
        let intent = self.intent(member.stream(), Command::Member(command), member, Context::default(), &[]);
        let executed = self.bus.execute(intent).await?;
        Ok(Done::of(member, &executed))
    }
}
