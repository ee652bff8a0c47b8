//! [`SessionStore`] on PostgreSQL.

use super::{PostgresSessions, later};
use crate::{
    sessions::{SESSIONS_PER_MEMBER, SWEEP, token::RefreshToken},
    system::UuidV7Generator,
};
use async_trait::async_trait;
use futures_util::FutureExt;
use sqlx::{query, query_as, query_scalar};
use std::time::Duration;
use uuid::Uuid;
use verbatim_application::ports::{IdGenerator, IdentityError, RefreshOutcome, SessionStore};
use verbatim_domain::{MemberId, Timestamp};

/// Sessions that all nodes share; made by [`PostgresSessions::store`].
#[derive(Clone)]
pub struct PostgresSessionStore {
    tables: PostgresSessions,
    lifetime: Duration,
}

impl PostgresSessionStore {
    pub(super) fn new(tables: PostgresSessions, lifetime: Duration) -> Self {
        Self { tables, lifetime }
    }
}

/// Opens a session; a few expired ones go, and the member's oldest if this is one too many. Rows that another node is
/// busy with are left to it: two that delete the same rows could wait for each other.
const OPEN: &str = "WITH expired AS (
        DELETE FROM sessions WHERE session_id IN (
            SELECT session_id FROM sessions WHERE expires_at <= $5 ORDER BY expires_at LIMIT $7
            FOR UPDATE SKIP LOCKED)
    ), surplus AS (
        DELETE FROM sessions WHERE session_id IN (
            SELECT session_id FROM sessions WHERE session_id IN (
                SELECT session_id FROM sessions WHERE member_id = $2
                ORDER BY opened_at DESC, session_id DESC OFFSET $8)
            FOR UPDATE SKIP LOCKED)
    ) INSERT INTO sessions (session_id, member_id, family, current, opened_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6)";
/// Uses the current token up. Of two that show it at the same time the second waits for the first, and then it is not
/// the current one any more.
const ROTATE: &str = "UPDATE sessions SET current = $4, expires_at = $5
    WHERE family = $1 AND current = $2 AND expires_at > $3 RETURNING session_id, member_id";
/// Ends the family of a token that is not the current one, or has expired.
const END: &str = "DELETE FROM sessions WHERE family = $1 RETURNING session_id, member_id, expires_at > $2";
const CLOSE: &str = "DELETE FROM sessions WHERE family = $1 RETURNING session_id";
const CLOSE_ALL: &str = "DELETE FROM sessions WHERE member_id = $1 AND session_id IS DISTINCT FROM $2";

fn unavailable(error: rand::rand_core::OsError) -> IdentityError {
    IdentityError::Unavailable(Box::new(error))
}

#[async_trait]
impl SessionStore for PostgresSessionStore {
    /// A member with [`SESSIONS_PER_MEMBER`] sessions loses the oldest.
    async fn open(&self, member: MemberId, now: Timestamp) -> Result<(Uuid, String), IdentityError> {
        let token = RefreshToken::first().map_err(unavailable)?;
        let session_id = UuidV7Generator.next();
        let insert = query(OPEN)
            .bind(session_id)
            .bind(member.as_uuid())
            .bind(token.family())
            .bind(token.own())
            .bind(now)
            .bind(later(now, self.lifetime))
            .bind(i64::from(SWEEP))
            .bind(i64::from(SESSIONS_PER_MEMBER) - 1);
        self.tables.call(|tables| async { insert.execute(tables).await.map(drop) }.boxed()).await?;
        Ok((session_id, token.text()))
    }

    async fn rotate(&self, refresh_token: &str, now: Timestamp) -> Result<RefreshOutcome, IdentityError> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(RefreshOutcome::Refused) };
        let next = token.next().map_err(unavailable)?;
        let (family, expires_at) = (token.family(), later(now, self.lifetime));
        let rotate =
            query_as(ROTATE).bind(family).bind(token.own()).bind(now).bind(next.own()).bind(expires_at);
        let end = query_as(END).bind(family).bind(now);
        let work = self.tables.call(|tables| {
            async move {
                if let Some((session_id, member_id)) = rotate.fetch_optional(&mut *tables).await? {
                    let (refresh_token, member_id) = (next.text(), MemberId::from_uuid(member_id));
                    return Ok(RefreshOutcome::Rotated { refresh_token, session_id, member_id });
                }
                Ok(match end.fetch_optional(tables).await? {
                    Some((session_id, member_id, true)) => {
                        RefreshOutcome::Reused { session_id, member_id: MemberId::from_uuid(member_id) }
                    }
                    _ => RefreshOutcome::Refused,
                })
            }
            .boxed()
        });
        work.await
    }

    /// A used token ends the session too: who logs out means it.
    async fn close(&self, refresh_token: &str) -> Result<Option<Uuid>, IdentityError> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(None) };
        let close = query_scalar(CLOSE).bind(token.family());
        self.tables.call(|tables| close.fetch_optional(tables).boxed()).await
    }

    async fn close_all(&self, member: MemberId, except: Option<Uuid>) -> Result<(), IdentityError> {
        let close = query(CLOSE_ALL).bind(member.as_uuid()).bind(except);
        self.tables.call(|tables| async { close.execute(tables).await.map(drop) }.boxed()).await
    }

    fn lifetime(&self) -> Duration {
        self.lifetime
    }
}
