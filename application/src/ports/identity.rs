//! Who somebody is: passwords, tokens, sessions, tickets and the limits on guessing them.

use async_trait::async_trait;
use std::{net::IpAddr, time::Duration};
use verbatim_domain::{
    MemberId, Timestamp,
    member::MemberRole,
    text::{Password, PasswordHash},
};

/// What this needs is not there now.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Too many are at it already; try later.
    #[error("too many at once")]
    Overloaded,
    /// The store behind it failed.
    #[error("the session store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Hashes passwords, off the async threads and only so many at once.
#[async_trait]
pub trait PasswordHasher: Send + Sync + 'static {
    /// Hash to store.
    ///
    /// # Errors
    /// [`IdentityError::Overloaded`] when too many wait already.
    async fn hash(&self, password: Password) -> Result<PasswordHash, IdentityError>;

    /// Whether the password fits. Without a hash it takes just as long and says no, so that time tells nobody which
    /// accounts exist.
    ///
    /// # Errors
    /// [`IdentityError::Overloaded`] when too many wait already.
    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, IdentityError>;
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who (`sub`).
    pub member_id: MemberId,
    /// In which role (`role`).
    pub role: MemberRole,
    /// Id of the session (refresh-token family) it belongs to (`sid`).
    pub session_id: uuid::Uuid,
    /// Until when (`exp`).
    pub expires_at: Timestamp,
}

/// Signs and checks access tokens (JWT, RFC 7519; issuer, audience and key id set and checked).
pub trait TokenIssuer: Send + Sync + 'static {
    /// A signed token for these claims.
    ///
    /// # Errors
    /// Signing failed, which is a bug.
    fn issue(&self, claims: &AccessClaims) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;

    /// The claims of a token that is genuine and not expired at `now`; `None` for any other.
    fn check(&self, token: &str, now: Timestamp) -> Option<AccessClaims>;

    /// How long a token lives.
    fn lifetime(&self) -> Duration;
}

/// What became of a refresh token that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// It was the current one; this is its successor.
    Rotated {
        /// The next refresh token.
        refresh_token: String,
        /// The session (family) it belongs to.
        session_id: uuid::Uuid,
        /// Whose.
        member_id: MemberId,
    },
    /// It had been used before: somebody copied it. The whole family is revoked now.
    Reused {
        /// The family.
        session_id: uuid::Uuid,
        /// Whose it was.
        member_id: MemberId,
    },
    /// Unknown, expired or revoked.
    Refused,
}

/// Refresh-token families (OAuth 2.0 Security BCP, RFC 9700 section 4.14.2). Tokens are stored hashed, and live
/// at most [`Self::lifetime`].
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Opens a session and gives its first refresh token.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    async fn open(&self, member: MemberId, now: Timestamp) -> Result<(uuid::Uuid, String), IdentityError>;

    /// Uses a refresh token up.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    async fn rotate(&self, refresh_token: &str, now: Timestamp) -> Result<RefreshOutcome, IdentityError>;

    /// Ends the session of this refresh token; one that is not known is no error.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    async fn close(&self, refresh_token: &str) -> Result<Option<uuid::Uuid>, IdentityError>;

    /// Ends all sessions of a member, but for one; after a change of password.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    async fn close_all(&self, member: MemberId, except: Option<uuid::Uuid>) -> Result<(), IdentityError>;

    /// How long a refresh token lives.
    fn lifetime(&self) -> Duration;
}

/// Counts failed log-ins per account and per address, and makes guessers wait.
#[async_trait]
pub trait LoginLimiter: Send + Sync + 'static {
    /// Asks for leave to try: `Err(wait)` when this account or address has failed too often. Leave is counted as a
    /// failure until [`Self::succeeded`] takes it back, so parallel guesses can't slip through together.
    ///
    /// # Errors
    /// The outer one: the store behind it failed.
    async fn attempt(
        &self,
        account: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Result<(), Duration>, IdentityError>;

    /// The attempt was right: forget the account's failures.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    async fn succeeded(&self, account: &str, address: Option<IpAddr>) -> Result<(), IdentityError>;
}

/// A ticket that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedTicket {
    /// Unguessable text.
    pub ticket: String,
    /// How long it may be used.
    pub expires_in: Duration,
}

/// Tickets: one use, short-lived, for clients that can't set a header (EventSource, browser WebSocket).
#[async_trait]
pub trait TicketStore: Send + Sync + 'static {
    /// Issues one for these claims.
    ///
    /// # Errors
    /// [`IdentityError::Overloaded`] when too many are out already.
    async fn issue(&self, claims: AccessClaims, now: Timestamp) -> Result<IssuedTicket, IdentityError>;

    /// Uses one up; `None` if it is unknown, used or expired.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    async fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Option<AccessClaims>, IdentityError>;
}
