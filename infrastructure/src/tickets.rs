//! [`TicketStore`] in memory: a ticket lives half a minute, so one that a restart forgets is asked for again.

use crate::random::{Hash, bytes, hash, hex};
use async_trait::async_trait;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use verbatim_application::ports::{AccessClaims, IdentityError, IssuedTicket, TicketStore};
use verbatim_domain::{MemberId, Timestamp};

/// How long a ticket may be used.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// Tickets that can be issued in one [`TICKET_LIFETIME`]; they take about 200 bytes each.
pub const TICKETS_MAX: usize = 65_536;
/// Tickets that can be issued to one member in that time, so that none takes them all.
pub const TICKETS_PER_MEMBER: usize = 64;

/// Tickets of this process.
#[derive(Default)]
pub struct MemoryTickets {
    // The std lock: it is held for a look-up, never across an await.
    tickets: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    out: HashMap<Hash, (AccessClaims, Timestamp)>,
    /// In the order of issue, with when each ends. Used ones stay here until then, and count until then.
    order: VecDeque<(Timestamp, Hash, MemberId)>,
    per_member: HashMap<MemberId, usize>,
}

impl Tickets {
    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((_, hash, member)) = self.order.pop_front_if(|(ends, ..)| *ends <= now) {
            self.out.remove(&hash);
            if let Some(count) = self.per_member.get_mut(&member) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.per_member.remove(&member);
                }
            }
        }
    }
}

impl MemoryTickets {
    /// None are out.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl TicketStore for MemoryTickets {
    async fn issue(&self, claims: AccessClaims, now: Timestamp) -> Result<IssuedTicket, IdentityError> {
        let secret = bytes::<16>().map_err(|error| IdentityError::Unavailable(Box::new(error)))?;
        let ticket = hex(&secret);
        let ends = now + TICKET_LIFETIME;
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.forget_expired(now);
        let of_member = tickets.per_member.get(&claims.member_id).copied().unwrap_or_default();
        if tickets.order.len() >= TICKETS_MAX || of_member >= TICKETS_PER_MEMBER {
            return Err(IdentityError::Overloaded);
        }
        let member = claims.member_id;
        tickets.per_member.insert(member, of_member + 1);
        tickets.order.push_back((ends, hash(&ticket), member));
        tickets.out.insert(hash(&ticket), (claims, ends));
        Ok(IssuedTicket { ticket, expires_in: TICKET_LIFETIME })
    }

    async fn redeem(&self, ticket: &str, now: Timestamp) -> Result<Option<AccessClaims>, IdentityError> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.forget_expired(now);
        let found = tickets.out.remove(&hash(ticket));
        Ok(found.filter(|(_, ends)| *ends > now).map(|(claims, _)| claims))
    }
}
