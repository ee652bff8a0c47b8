//! Stand-ins until the SQLite store lands.
use async_trait::async_trait;
use std::{collections::HashMap, net::IpAddr, sync::Mutex, time::Duration};
use uuid::Uuid;
use verbatim_application::ports::*;
use verbatim_domain::{MemberId, Timestamp};

/// Sessions in memory.
#[derive(Default)]
pub struct SqliteSessions(Mutex<HashMap<String, (Uuid, MemberId)>>);
impl SqliteSessions {
    /// Opens.
    pub fn open(_: impl AsRef<std::path::Path>, _: &[crate::Migration<'_>]) -> Result<Self, crate::OpenError> { Ok(Self::default()) }
}
fn token() -> String { let b: [u8; 32] = rand::random(); b.iter().map(|b| format!("{b:02x}")).collect() }
#[async_trait]
impl SessionStore for SqliteSessions {
    async fn open(&self, member: MemberId, _: Timestamp) -> Result<(Uuid, String), IdentityError> {
        let (id, t) = (Uuid::from_bytes(rand::random()), token());
        if let Ok(mut m) = self.0.lock() { m.insert(t.clone(), (id, member)); }
        Ok((id, t))
    }
    async fn rotate(&self, t: &str, _: Timestamp) -> Result<RefreshOutcome, IdentityError> {
        let Ok(mut m) = self.0.lock() else { return Ok(RefreshOutcome::Refused) };
        match m.remove(t) { Some((session_id, member_id)) => { let n = token(); m.insert(n.clone(), (session_id, member_id)); Ok(RefreshOutcome::Rotated { refresh_token: n, session_id, member_id }) } None => Ok(RefreshOutcome::Refused) }
    }
    async fn close(&self, t: &str) -> Result<Option<Uuid>, IdentityError> { Ok(self.0.lock().ok().and_then(|mut m| m.remove(t)).map(|x| x.0)) }
    async fn close_all(&self, _: MemberId, _: Option<Uuid>) -> Result<(), IdentityError> { Ok(()) }
    fn lifetime(&self) -> Duration { Duration::from_secs(86400) }
}
#[async_trait]
impl LoginLimiter for SqliteSessions {
    async fn attempt(&self, _: &str, _: Option<IpAddr>, _: Timestamp) -> Result<Result<(), Duration>, IdentityError> { Ok(Ok(())) }
    async fn succeeded(&self, _: &str, _: Option<IpAddr>) -> Result<(), IdentityError> { Ok(()) }
}
/// Tickets.
#[derive(Default)]
pub struct MemoryTickets(Mutex<HashMap<String, AccessClaims>>);
#[async_trait]
impl TicketStore for MemoryTickets {
    async fn issue(&self, claims: AccessClaims, _: Timestamp) -> Result<IssuedTicket, IdentityError> {
        let t = token(); if let Ok(mut m) = self.0.lock() { m.insert(t.clone(), claims); }
        Ok(IssuedTicket { ticket: t, expires_in: Duration::from_secs(30) })
    }
    async fn redeem(&self, t: &str, _: Timestamp) -> Result<Option<AccessClaims>, IdentityError> { Ok(self.0.lock().ok().and_then(|mut m| m.remove(t))) }
}
