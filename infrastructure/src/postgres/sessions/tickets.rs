//! [`TicketStore`] on PostgreSQL: a ticket of one node is good at every other.

use super::{PostgresSessions, later};
use crate::{
    random::{bytes, hash, hex},
    sessions::SWEEP,
    tickets::{TICKET_LIFETIME, TICKETS_MAX, TICKETS_PER_MEMBER},
};
use async_trait::async_trait;
use futures_util::FutureExt;
use sqlx::{query, query_as};
use uuid::Uuid;
use verbatim_application::ports::{AccessClaims, IdentityError, IssuedTicket, TicketStore};
use verbatim_domain::{MemberId, Timestamp, member::MemberRole};

/// Tickets that all nodes share; made by [`PostgresSessions::tickets`].
#[derive(Clone)]
pub struct PostgresTickets(PostgresSessions);

impl PostgresTickets {
    pub(super) fn new(tables: PostgresSessions) -> Self {
        Self(tables)
    }
}

/// Issues one unless too many are out, in all or of the member. Several that are issued at the same moment do not count
/// each other, so there may be a few more.
const ISSUE: &str = "WITH expired AS (
        DELETE FROM tickets WHERE ticket IN (
            SELECT ticket FROM tickets WHERE ends_at <= $6 ORDER BY ends_at LIMIT $8 FOR UPDATE SKIP LOCKED)
    ) INSERT INTO tickets (ticket, member_id, role, session_id, claims_expire, ends_at)
    SELECT $1, $2, $3, $4, $5, $7
    WHERE (SELECT count(*) FROM tickets WHERE member_id = $2 AND ends_at > $6) < $9
        AND NOT EXISTS (SELECT FROM tickets WHERE ends_at > $6 ORDER BY ends_at OFFSET $10 LIMIT 1)";
/// Uses one up. It stays until it ends, and counts until then.
const REDEEM: &str = "UPDATE tickets SET used = true WHERE ticket = $1 AND NOT used AND ends_at > $2
    RETURNING member_id, role, session_id, claims_expire";

const fn name(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Member => "member",
        MemberRole::Admin => "admin",
    }
}

fn named(name: &str) -> Option<MemberRole> {
    [MemberRole::Member, MemberRole::Admin].into_iter().find(|role| self::name(*role) == name)
}

#[async_trait]
impl TicketStore for PostgresTickets {
    async fn issue(&self, claims: AccessClaims, now: Timestamp) -> Result<IssuedTicket, IdentityError> {
        let secret = bytes::<16>().map_err(|error| IdentityError::Unavailable(Box::new(error)))?;
        let ticket = hex(&secret);
        let issue = query(ISSUE)
            .bind(hash(&ticket))
            .bind(claims.member_id.as_uuid())
            .bind(name(claims.role))
            .bind(claims.session_id)
            .bind(claims.expires_at)
            .bind(now)
            .bind(later(now, TICKET_LIFETIME))
            .bind(i64::from(SWEEP))
            .bind(i64::try_from(TICKETS_PER_MEMBER).unwrap_or(i64::MAX))
            .bind(i64::try_from(TICKETS_MAX - 1).unwrap_or(i64::MAX));
        let issued = self.0.call(|tables| issue.execute(tables).boxed()).await?;
        match issued.rows_affected() {
            0 => Err(IdentityError::Overloaded),
            _ => Ok(IssuedTicket { ticket, expires_in: TICKET_LIFETIME }),
        }
    }

    async fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Option<AccessClaims>, IdentityError> {
        let redeem = query_as(REDEEM).bind(hash(ticket)).bind(now);
        let found: Option<(Uuid, String, Uuid, Timestamp)> =
            self.0.call(|tables| redeem.fetch_optional(tables).boxed()).await?;
        // A role that this version does not know is no ticket here.
        Ok(found.and_then(|(member_id, role, session_id, expires_at)| {
            let (member_id, role) = (MemberId::from_uuid(member_id), named(&role)?);
            Some(AccessClaims { member_id, role, session_id, expires_at })
        }))
    }
}
