//! [`SessionStore`] on SQLite.

use super::{SWEEP, SqliteSessions, micros, token::RefreshToken};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, Transaction, params, types::Type};
use std::time::Duration;
use uuid::Uuid;
use verbatim_application::ports::{IdGenerator, IdentityError, RefreshOutcome, SessionStore};
use verbatim_domain::{MemberId, Timestamp};

use crate::system::UuidV7Generator;

/// How long a refresh token lives unless configured otherwise: who does not come back for so long logs in again.
pub const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Sessions a member can have; one more ends the oldest.
pub const SESSIONS_PER_MEMBER: u32 = 100;

/// Sessions in an SQLite file; made by [`SqliteSessions::store`].
#[derive(Clone)]
pub struct SqliteSessionStore {
    file: SqliteSessions,
    lifetime: Duration,
}

/// A session that a token belongs to.
struct Found {
    session_id: Uuid,
    member_id: MemberId,
    current: [u8; 32],
    expires_at: i64,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id = |column| {
            let text: String = row.get(column)?;
            Uuid::try_parse(&text)
                .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
        };
        Ok(Self {
            session_id: id(0)?,
            member_id: MemberId::from_uuid(id(1)?),
            current: row.get(2)?,
            expires_at: row.get(3)?,
        })
    }

    fn of(token: &RefreshToken, transaction: &Transaction<'_>) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT session_id, member_id, current, expires_at FROM sessions WHERE family = ?1";
        transaction.prepare_cached(sql)?.query_row([token.family()], Self::read).optional()
    }

    fn delete(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "DELETE FROM sessions WHERE session_id = ?1";
        transaction.prepare_cached(sql)?.execute([self.session_id.to_string()]).map(|_| ())
    }
}

impl SqliteSessionStore {
    pub(super) fn new(file: SqliteSessions, lifetime: Duration) -> Self {
        Self { file, lifetime }
    }
}

fn sweep(transaction: &Transaction<'_>, now: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM sessions WHERE session_id IN \
        (SELECT session_id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    transaction.prepare_cached(sql)?.execute(params![now, SWEEP]).map(|_| ())
}

fn unavailable(error: rand::rand_core::OsError) -> IdentityError {
    IdentityError::Unavailable(Box::new(error))
}

#[async_trait]
impl SessionStore for SqliteSessionStore {
    /// A member with [`SESSIONS_PER_MEMBER`] sessions loses the oldest.
    async fn open(&self, member: MemberId, now: Timestamp) -> Result<(Uuid, String), IdentityError> {
        let token = RefreshToken::first().map_err(unavailable)?;
        let session_id = UuidV7Generator.next();
        let text = token.text();
        let (now, expires_at) = (now.timestamp_micros(), micros(now, self.lifetime));
        let work = move |transaction: &Transaction<'_>| {
            sweep(transaction, now)?;
            let member = member.to_string();
            let insert = "INSERT INTO sessions (session_id, member_id, family, current, opened_at, expires_at) \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            transaction.prepare_cached(insert)?.execute(params![
                session_id.to_string(),
                member,
                token.family(),
                token.own(),
                now,
                expires_at
            ])?;
            let surplus = "DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions \
                WHERE member_id = ?1 ORDER BY opened_at DESC, session_id DESC LIMIT -1 OFFSET ?2)";
            transaction.prepare_cached(surplus)?.execute(params![member, SESSIONS_PER_MEMBER])?;
            Ok(())
        };
        self.file.write(work).await?;
        Ok((session_id, text))
    }

    async fn rotate(&self, refresh_token: &str, now: Timestamp) -> Result<RefreshOutcome, IdentityError> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(RefreshOutcome::Refused) };
        let next = token.next().map_err(unavailable)?;
        let (now, expires_at) = (now.timestamp_micros(), micros(now, self.lifetime));
        let work = move |transaction: &Transaction<'_>| {
            let Some(found) = Found::of(&token, transaction)? else { return Ok(RefreshOutcome::Refused) };
            if found.expires_at <= now {
                found.delete(transaction)?;
                return Ok(RefreshOutcome::Refused);
            }
            let (session_id, member_id) = (found.session_id, found.member_id);
            // Hashes of random texts are compared, so how long it takes tells nothing.
            if found.current != token.own() {
                found.delete(transaction)?;
                return Ok(RefreshOutcome::Reused { session_id, member_id });
            }
            let sql = "UPDATE sessions SET current = ?2, expires_at = ?3 WHERE session_id = ?1";
            let mut update = transaction.prepare_cached(sql)?;
            update.execute(params![session_id.to_string(), next.own(), expires_at])?;
            Ok(RefreshOutcome::Rotated { refresh_token: next.text(), session_id, member_id })
        };
        self.file.write(work).await
    }

    /// A used token ends the session too: who logs out means it.
    async fn close(&self, refresh_token: &str) -> Result<Option<Uuid>, IdentityError> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(None) };
        let work = move |transaction: &Transaction<'_>| {
            let found = Found::of(&token, transaction)?;
            found.iter().try_for_each(|found| found.delete(transaction))?;
            Ok(found.map(|found| found.session_id))
        };
        self.file.write(work).await
    }

    async fn close_all(&self, member: MemberId, except: Option<Uuid>) -> Result<(), IdentityError> {
        let work = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM sessions WHERE member_id = ?1 AND session_id IS NOT ?2";
            let kept = except.map(|id| id.to_string());
            transaction.prepare_cached(sql)?.execute(params![member.to_string(), kept]).map(|_| ())
        };
        self.file.write(work).await
    }

    fn lifetime(&self) -> Duration {
        self.lifetime
    }
}
