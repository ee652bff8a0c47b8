//! Adapters in memory: small, strict and without limits of their own.

use async_trait::async_trait;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use uuid::Uuid;
use verbatim_application::ports::{
    AccessClaims, AdminError, AppendError, Appended, Clock, EventLog, IdGenerator, IdentityError,
    IssuedTicket, LogError, LoginLimiter, NewEvent, NewSnapshot, PasswordHasher, ProjectionStatus,
    ProjectionsAdmin, RecordedEvent, RefreshOutcome, SessionStore, Snapshot, StreamId, TicketStore,
    TokenIssuer, Verification,
};
use verbatim_domain::{
    MemberId, Timestamp,
    text::{Password, PasswordHash},
};

/// Failures after which an account has to wait.
pub(super) const FAILURES_MAX: u32 = 3;
pub(super) const WAIT: Duration = Duration::from_millis(1_500);

/// A clock that moves a microsecond each time it is looked at, and ids that count.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Clock for Counter {
    fn now(&self) -> Timestamp {
        let micros = 1_700_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_timestamp_micros(micros.try_into().unwrap()).unwrap()
    }
}

impl IdGenerator for Counter {
    fn next(&self) -> Uuid {
        let number = u128::from(self.0.fetch_add(1, Ordering::Relaxed));
        // Version 7, variant 1, as readers may check.
        Uuid::from_u128((0x7_u128 << 76) | (0b10_u128 << 62) | number)
    }
}

pub(super) struct Log {
    pub(super) events: Mutex<Vec<RecordedEvent>>,
    head: watch::Sender<u64>,
}

impl Default for Log {
    fn default() -> Self {
        Self { events: Mutex::default(), head: watch::Sender::new(0) }
    }
}

#[async_trait]
impl EventLog for Log {
    async fn append(
        &self,
        new: Vec<NewEvent>,
        _: Vec<NewSnapshot>,
        recorded_at: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut events = self.events.lock().unwrap();
        let first_position = events.len() as u64 + 1;
        let taken = |new: &NewEvent| {
            events.iter().any(|old| {
                old.aggregate_id == new.stream.aggregate_id && old.sequence == new.sequence
                    || old.idempotency_key.is_some() && old.idempotency_key == new.idempotency_key
            })
        };
        if new.iter().any(taken) {
            return Err(AppendError::Conflict);
        }
        for (event, position) in new.into_iter().zip(first_position..) {
            events.push(RecordedEvent {
                position,
                recorded_at,
                aggregate_type: event.stream.aggregate_type.to_owned(),
                aggregate_id: event.stream.aggregate_id,
                sequence: event.sequence,
                event_type: event.event_type.to_owned(),
                event_version: event.event_version.to_owned(),
                payload: event.payload,
                metadata: event.metadata,
                idempotency_key: event.idempotency_key,
            });
        }
        self.head.send_replace(events.len() as u64);
        Ok(Appended { first_position })
    }

    async fn load(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let events = self.events.lock().unwrap();
        let own =
            |event: &&RecordedEvent| event.aggregate_id == stream.aggregate_id && event.sequence > after;
        Ok(events.iter().filter(own).take(limit).cloned().collect())
    }

    async fn load_snapshot(&self, _: StreamId) -> Result<Option<Snapshot>, LogError> {
        Ok(None)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let events = self.events.lock().unwrap();
        Ok(events.iter().filter(|event| event.position > after).take(limit).cloned().collect())
    }

    async fn find_by_idempotency_keys(&self, keys: Vec<String>) -> Result<Vec<RecordedEvent>, LogError> {
        let events = self.events.lock().unwrap();
        let has =
            |event: &&RecordedEvent| event.idempotency_key.as_ref().is_some_and(|key| keys.contains(key));
        Ok(events.iter().filter(has).cloned().collect())
    }

    async fn head(&self) -> Result<u64, LogError> {
        Ok(*self.head.borrow())
    }

    fn head_hint(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

/// Everything about who somebody is.
#[derive(Default)]
pub(super) struct Identity {
    tokens: Mutex<HashMap<String, AccessClaims>>,
    sessions: Mutex<HashMap<String, (Uuid, MemberId, bool)>>,
    tickets: Mutex<HashMap<String, AccessClaims>>,
    pub(super) failures: Mutex<HashMap<String, u32>>,
    next: AtomicU64,
}

impl Identity {
    fn secret(&self, kind: &str) -> String {
        format!("{kind}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[async_trait]
impl PasswordHasher for Identity {
    async fn hash(&self, password: Password) -> Result<PasswordHash, IdentityError> {
        Ok(PasswordHash::new(format!("#{}", password.reveal())))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, IdentityError> {
        Ok(hash.is_some_and(|hash| hash.reveal() == format!("#{}", password.reveal())))
    }
}

impl TokenIssuer for Identity {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let token = self.secret("access");
        self.tokens.lock().unwrap().insert(token.clone(), claims.clone());
        Ok(token)
    }

    fn check(&self, token: &str, now: Timestamp) -> Option<AccessClaims> {
        self.tokens.lock().unwrap().get(token).filter(|claims| claims.expires_at > now).cloned()
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(900)
    }
}

#[async_trait]
impl SessionStore for Identity {
    async fn open(&self, member: MemberId, _: Timestamp) -> Result<(Uuid, String), IdentityError> {
        let token = self.secret("refresh");
        let session = Uuid::from_u128(self.next.fetch_add(1, Ordering::Relaxed).into());
        self.sessions.lock().unwrap().insert(token.clone(), (session, member, false));
        Ok((session, token))
    }

    async fn rotate(&self, token: &str, _: Timestamp) -> Result<RefreshOutcome, IdentityError> {
        let mut sessions = self.sessions.lock().unwrap();
        let Some((session_id, member_id, used)) = sessions.get(token).copied() else {
            return Ok(RefreshOutcome::Refused);
        };
        if used {
            sessions.retain(|_, (session, ..)| *session != session_id);
            return Ok(RefreshOutcome::Reused { session_id, member_id });
        }
        let refresh_token = self.secret("refresh");
        sessions.insert(token.to_owned(), (session_id, member_id, true));
        sessions.insert(refresh_token.clone(), (session_id, member_id, false));
        Ok(RefreshOutcome::Rotated { refresh_token, session_id, member_id })
    }

    async fn close(&self, token: &str) -> Result<Option<Uuid>, IdentityError> {
        let mut sessions = self.sessions.lock().unwrap();
        let session = sessions.get(token).map(|(session, ..)| *session);
        sessions.retain(|_, (other, ..)| Some(*other) != session);
        Ok(session)
    }

    async fn close_all(&self, member: MemberId, except: Option<Uuid>) -> Result<(), IdentityError> {
        let mut sessions = self.sessions.lock().unwrap();
        sessions.retain(|_, (session, whose, _)| *whose != member || Some(*session) == except);
        Ok(())
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(86_400)
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
        let mut failures = self.failures.lock().unwrap();
        let count = failures.entry(account.to_owned()).or_default();
        *count += 1;
        Ok(if *count > FAILURES_MAX { Err(WAIT) } else { Ok(()) })
    }

    async fn succeeded(&self, account: &str, _: Option<IpAddr>) -> Result<(), IdentityError> {
        self.failures.lock().unwrap().remove(account);
        Ok(())
    }
}

#[async_trait]
impl TicketStore for Identity {
    async fn issue(&self, claims: AccessClaims, _: Timestamp) -> Result<IssuedTicket, IdentityError> {
        let ticket = self.secret("ticket");
        self.tickets.lock().unwrap().insert(ticket.clone(), claims);
        Ok(IssuedTicket { ticket, expires_in: Duration::from_secs(30) })
    }

    async fn redeem(&self, ticket: &str, _: Timestamp) -> Result<Option<AccessClaims>, IdentityError> {
        Ok(self.tickets.lock().unwrap().remove(ticket))
    }
}

/// One projection named `rooms`, with or without a previous version.
#[derive(Default)]
pub(super) struct Admin {
    pub(super) started: Mutex<Vec<String>>,
    pub(super) previous: Mutex<Option<u64>>,
}

impl Admin {
    fn status(&self) -> ProjectionStatus {
        ProjectionStatus {
            name: "rooms".to_owned(),
            version: 2,
            previous_version: *self.previous.lock().unwrap(),
            schema_version: 1,
            position: 7,
            head: 9,
            lag: 2,
            last_error: None,
        }
    }

    fn known(name: &str) -> Result<(), AdminError> {
        if name == "rooms" { Ok(()) } else { Err(AdminError::Unknown) }
    }
}

#[async_trait]
impl ProjectionsAdmin for Admin {
    async fn list(&self) -> Result<Vec<ProjectionStatus>, AdminError> {
        Ok(vec![self.status()])
    }

    async fn start_rebuild(&self, names: Vec<String>) -> Result<(), AdminError> {
        names.iter().try_for_each(|name| Self::known(name))?;
        let mut started = self.started.lock().unwrap();
        if !started.is_empty() {
            return Err(AdminError::Busy);
        }
        started.extend(names);
        Ok(())
    }

    async fn verify(&self, name: &str) -> Result<Verification, AdminError> {
        Self::known(name)?;
        let samples = vec!["room 1: 2 members, should be 3".to_owned()];
        Ok(Verification { name: name.to_owned(), position: 7, differences: 1, samples })
    }

    async fn rollback(&self, name: &str) -> Result<ProjectionStatus, AdminError> {
        Self::known(name)?;
        self.previous.lock().unwrap().take().ok_or(AdminError::NoPreviousVersion)?;
        Ok(self.status())
    }

    async fn drop_old(&self, name: &str) -> Result<ProjectionStatus, AdminError> {
        self.rollback(name).await
    }
}
