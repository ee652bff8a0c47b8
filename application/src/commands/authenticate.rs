//! Proving who one is: log in, refresh, log out, tickets, tokens.

use crate::{
    AppError, ErrorClass,
    app::{App, Caller},
    error::causes,
    ports::{AccessClaims, IdentityError, IssuedTicket, RefreshOutcome},
};
use std::net::IpAddr;
use verbatim_domain::{
    EmailId, MemberId,
    member::{MemberError, MemberRole, Profile},
    text::{Email, Password, PasswordHash},
};

/// What a log-in gives.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// For the `Authorization: Bearer` header.
    pub access_token: String,
    /// Good for one refresh.
    pub refresh_token: String,
    /// Seconds that the access token lives.
    pub expires_in: u64,
}

impl std::fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenPair").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl From<IdentityError> for AppError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Overloaded => {
                Self::new(ErrorClass::Overloaded, "overloaded", "too many are at it already; try again")
            }
            IdentityError::Unavailable(source) => Self::unavailable("sessions are not available now", source),
        }
    }
}

fn wrong_credentials() -> AppError {
    AppError::unauthenticated("wrong_credentials", "e-mail address or password is wrong")
}

impl App {
    /// Logs in. An unknown address and a wrong password get one answer, after the same time.
    ///
    /// # Errors
    /// `wrong_credentials`; `too_many_attempts` with the time to wait.
    pub async fn log_in(
        &self,
        email: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<TokenPair, AppError> {
        let parsed = Email::parse(email).ok();
        // What is no address still counts as one, or guessing would be free.
        let account = parsed.as_ref().map_or_else(
            || email.chars().take(verbatim_domain::text::EMAIL_MAX).collect::<String>().to_lowercase(),
            Email::key,
        );
        if let Err(wait) = self.logins.attempt(&account, address, self.clock.now()).await? {
            let mut error = AppError::new(
                ErrorClass::Limited,
                "too_many_attempts",
                "too many failed log-ins for this account or address; wait",
            );
            error.retry_after = Some(wait);
            return Err(error);
        }
        let profile = match parsed {
            Some(email) => self.profile_by_email(&email).await?,
            None => None,
        };
        let hash = profile.as_ref().and_then(|profile| profile.password_hash.clone());
        let right = self.check_password(password, hash).await?;
        let profile = profile.filter(|_| right).ok_or_else(wrong_credentials)?;
        self.logins.succeeded(&account, address).await?;
        let (session_id, refresh_token) = self.sessions.open(profile.member_id, self.clock.now()).await?;
        self.pair(profile.member_id, profile.role, session_id, refresh_token)
    }

    /// Trades a refresh token for the next pair. One that was used before revokes its whole session.
    ///
    /// # Errors
    /// `invalid_refresh_token`
    pub async fn refresh(&self, refresh_token: &str) -> Result<TokenPair, AppError> {
        let refused = || {
            AppError::unauthenticated("invalid_refresh_token", "the refresh token is not valid, or no longer")
        };
        match self.sessions.rotate(refresh_token, self.clock.now()).await? {
            RefreshOutcome::Rotated { refresh_token, session_id, member_id } => {
                let role = match self.newest_profile(member_id).await {
                    Ok(profile) => profile.role,
                    // The token that was shown is used up. Without its successor the client would show it again, and
                    // that would look like theft and end the session: grant what needs no looking up.
                    Err(error) if matches!(error.class, ErrorClass::Unavailable | ErrorClass::Overloaded) => {
                        tracing::warn!(%member_id, error = causes(&error), "a token is refreshed without its member's role");
                        MemberRole::Member
                    }
                    Err(error) => return Err(error),
                };
                self.pair(member_id, role, session_id, refresh_token)
            }
            RefreshOutcome::Reused { session_id, member_id } => {
                tracing::warn!(%member_id, "a refresh token was used twice; session {session_id} is revoked");
                Err(refused())
            }
            RefreshOutcome::Refused => Err(refused()),
        }
    }

    /// Ends the session of a refresh token.
    ///
    /// # Errors
    /// The session store is not available.
    pub async fn log_out(&self, refresh_token: &str) -> Result<(), AppError> {
        self.sessions.close(refresh_token).await?;
        Ok(())
    }

    /// Who shows this access token.
    ///
    /// # Errors
    /// `invalid_token`
    pub fn authenticate(&self, token: &str) -> Result<AccessClaims, AppError> {
        self.tokens.check(token, self.clock.now()).ok_or_else(|| {
            AppError::unauthenticated("invalid_token", "the access token is not valid, or expired")
        })
    }

    /// Issues a one-use ticket for a client that can't set a header.
    ///
    /// # Errors
    /// `overloaded` when too many are out.
    pub async fn issue_ticket(&self, claims: AccessClaims) -> Result<IssuedTicket, AppError> {
        Ok(self.tickets.issue(claims, self.clock.now()).await?)
    }

    /// Uses a ticket up.
    ///
    /// # Errors
    /// `invalid_ticket`
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<AccessClaims, AppError> {
        self.tickets.redeem(ticket, self.clock.now()).await?.ok_or_else(|| {
            AppError::unauthenticated("invalid_ticket", "the ticket is unknown, used or expired")
        })
    }

    pub(crate) async fn check_password(
        &self,
        password: &str,
        hash: Option<PasswordHash>,
    ) -> Result<bool, AppError> {
        // A password that no account can have is still compared, to take the same time.
        match Password::parse(password) {
            Ok(password) => Ok(self.passwords.verify(password, hash).await?),
            Err(_) => {
                let never = Password::parse("no account can have this").map_err(AppError::internal)?;
                self.passwords.verify(never, None).await?;
                Ok(false)
            }
        }
    }

    /// The account itself, from the write side; a change by another node may be missing for a moment.
    pub(crate) async fn profile(&self, member: MemberId) -> Result<Profile, AppError> {
        self.bus
            .member(member, |member| member.profile().cloned().ok_or_else(|| MemberError::NotFound.into()))
            .await
    }

    /// The account as the log has it now: for what a password or a role decides.
    pub(crate) async fn newest_profile(&self, member: MemberId) -> Result<Profile, AppError> {
        self.bus
            .newest_member(member, |member| {
                member.profile().cloned().ok_or_else(|| MemberError::NotFound.into())
            })
            .await
    }

    async fn profile_by_email(&self, email: &Email) -> Result<Option<Profile>, AppError> {
        match self.bus.email_owner(EmailId::of(&email.key())).await? {
            Some(member) => self.newest_profile(member).await.map(Some),
            None => Ok(None),
        }
    }

    fn pair(
        &self,
        member_id: MemberId,
        role: MemberRole,
        session_id: uuid::Uuid,
        refresh_token: String,
    ) -> Result<TokenPair, AppError> {
        let lifetime = self.tokens.lifetime();
        let claims = AccessClaims { member_id, role, session_id, expires_at: self.clock.now() + lifetime };
        let access_token = self.tokens.issue(&claims).map_err(AppError::internal)?;
        Ok(TokenPair { access_token, refresh_token, expires_in: lifetime.as_secs() })
    }
}

impl From<&AccessClaims> for Caller {
    fn from(claims: &AccessClaims) -> Self {
        Self { member_id: claims.member_id, role: claims.role, session_id: claims.session_id }
    }
}
