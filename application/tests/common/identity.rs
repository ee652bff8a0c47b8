//! Passwords, tokens, sessions, tickets and limits, in memory. All write down what they were asked, in order.

use async_trait::async_trait;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;
use verbatim_application::ports::{
    AccessClaims, IdentityError, IssuedTicket, LoginLimiter, PasswordHasher, RefreshOutcome, SessionStore,
    TicketStore, TokenIssuer,
};
use verbatim_domain::{
    MemberId, Timestamp,
    text::{Password, PasswordHash},
};

/// Failed log-ins that are too many.
pub(crate) const FAILURES_MAX: usize = 3;

#[derive(Default)]
struct State {
    asked: Vec<String>,
    failures: HashMap<String, usize>,
    sessions: Vec<Session>,
    tickets: HashMap<String, AccessClaims>,
    issued: HashMap<String, AccessClaims>,
}

struct Session {
    id: Uuid,
    member: MemberId,
    generation: u64,
    closed: bool,
}

/// All of identity in one fake.
#[derive(Default)]
pub(crate) struct Identity {
    state: Mutex<State>,
    pub(crate) hasher_busy: AtomicBool,
}

impl Identity {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().expect("no test panics with the lock held"))
    }

    fn note(&self, what: impl Into<String>) {
        self.with(|state| state.asked.push(what.into()));
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.asked))
    }

    /// Sessions that are open.
    pub(crate) fn open_sessions(&self, member: MemberId) -> usize {
        self.with(|state| state.sessions.iter().filter(|s| s.member == member && !s.closed).count())
    }

    fn busy(&self) -> Result<(), IdentityError> {
        if self.hasher_busy.load(Ordering::SeqCst) { Err(IdentityError::Overloaded) } else { Ok(()) }
    }
}

#[async_trait]
impl PasswordHasher for Identity {
    async fn hash(&self, password: Password) -> Result<PasswordHash, IdentityError> {
        self.busy()?;
        self.note("hash");
        Ok(PasswordHash::new(format!("$fake${}", password.reveal())))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, IdentityError> {
        self.busy()?;
        self.note("verify");
        Ok(hash.is_some_and(|hash| hash.reveal() == format!("$fake${}", password.reveal())))
    }
}

impl TokenIssuer for Identity {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.with(|state| {
            let token = format!("access-{}", state.issued.len());
            state.issued.insert(token.clone(), claims.clone());
            token
        }))
    }

    fn check(&self, token: &str, now: Timestamp) -> Option<AccessClaims> {
        self.with(|state| state.issued.get(token).filter(|claims| claims.expires_at > now).cloned())
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(900)
    }
}

fn refresh_token(session: &Session) -> String {
    format!("{}.{}", session.id, session.generation)
}

#[async_trait]
impl SessionStore for Identity {
    async fn open(&self, member: MemberId, _: Timestamp) -> Result<(Uuid, String), IdentityError> {
        Ok(self.with(|state| {
            let id = Uuid::from_u128(0x5e55 + state.sessions.len() as u128);
            let session = Session { id, member, generation: 0, closed: false };
            let token = refresh_token(&session);
            state.sessions.push(session);
            (id, token)
        }))
    }

    async fn rotate(&self, token: &str, _: Timestamp) -> Result<RefreshOutcome, IdentityError> {
        Ok(self.with(|state| {
            let id = token.split('.').next().unwrap_or_default();
            match state.sessions.iter_mut().find(|s| s.id.to_string() == id && !s.closed) {
                Some(session) if refresh_token(session) == token => {
                    session.generation += 1;
                    let refresh_token = refresh_token(session);
                    RefreshOutcome::Rotated {
                        refresh_token,
                        session_id: session.id,
                        member_id: session.member,
                    }
                }
                Some(session) => {
                    session.closed = true;
                    RefreshOutcome::Reused { session_id: session.id, member_id: session.member }
                }
                None => RefreshOutcome::Refused,
            }
        }))
    }

    async fn close(&self, token: &str) -> Result<Option<Uuid>, IdentityError> {
        Ok(self.with(|state| {
            let session = state.sessions.iter_mut().find(|s| refresh_token(s) == token)?;
            session.closed = true;
            Some(session.id)
        }))
    }

    async fn close_all(&self, member: MemberId, except: Option<Uuid>) -> Result<(), IdentityError> {
        self.with(|state| {
            for session in state.sessions.iter_mut().filter(|s| s.member == member && Some(s.id) != except) {
                session.closed = true;
            }
        });
        Ok(())
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(3_600)
    }
}

#[async_trait]
impl LoginLimiter for Identity {
    async fn attempt(
        &self,
        account: &str,
        _: Option<IpAddr>,
        _: Timestamp,
    ) -> Result<Result<(), Duration>, IdentityError> {
        self.note(format!("attempt {account}"));
        Ok(self.with(|state| {
            let failures = state.failures.entry(account.to_owned()).or_default();
            if *failures >= FAILURES_MAX {
                return Err(Duration::from_secs(60));
            }
            *failures += 1;
            Ok(())
        }))
    }

    async fn succeeded(&self, account: &str, _: Option<IpAddr>) -> Result<(), IdentityError> {
        self.note(format!("succeeded {account}"));
        self.with(|state| state.failures.remove(account));
        Ok(())
    }
}

#[async_trait]
impl TicketStore for Identity {
    async fn issue(&self, claims: AccessClaims, _: Timestamp) -> Result<IssuedTicket, IdentityError> {
        Ok(self.with(|state| {
            let ticket = format!("ticket-{}", state.tickets.len());
            state.tickets.insert(ticket.clone(), claims);
            IssuedTicket { ticket, expires_in: Duration::from_secs(30) }
        }))
    }

    async fn redeem(&self, ticket: &str, _: Timestamp) -> Result<Option<AccessClaims>, IdentityError> {
        Ok(self.with(|state| state.tickets.remove(ticket)))
    }
}
