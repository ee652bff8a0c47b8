//! The members, rooms and connections of a run.

use super::journal::Journal;
use crate::Error;
use crate::http::{Api, CallError};
use crate::ids::{MemberId, RoomId};
use crate::oracle::Config;
use crate::process::Launch;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

const PASSWORD: &str = "correct horse battery staple";
/// Between two attempts while the server is up: long enough for the killer to say that it is not.
const PAUSE: Duration = Duration::from_millis(25);
/// Kinds of clients with random choices of their own; the seed of each is made from this.
const SEED_STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// One member.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: MemberId,
    /// Whether the member's own event stream is open.
    pub(super) watching: AtomicBool,
    email: String,
    token: RwLock<Token>,
}

#[derive(Debug)]
struct Token {
    text: Arc<str>,
    renew_at: Instant,
}

impl Account {
    /// The bearer token as it is now.
    pub(super) fn token(&self) -> Arc<str> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).text.clone()
    }
}

/// One room.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: RoomId,
    /// Index of the member who opened it.
    pub(super) owner: usize,
    /// Index of the member who keeps leaving and joining.
    pub(super) churner: usize,
    /// Highest number that anyone was told of.
    pub(super) highest: AtomicU64,
}

/// What all clients of a run share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) launch: Launch,
    pub(super) api: Api,
    pub(super) accounts: Vec<Account>,
    pub(super) places: Vec<Place>,
    pub(super) journal: Journal,
    up: watch::Sender<bool>,
}

/// What became of a call that was repeated until its outcome was known.
pub(super) enum Known<T> {
    /// Done, at the last attempt at least.
    Done(T),
    /// Refused, and no earlier attempt may have been done.
    Refused(String),
    /// Either refused after an attempt of unknown outcome, or never answered.
    Unclear(String),
}

impl World {
    /// Registers the members and opens the rooms, with everyone in all of them.
    pub(super) async fn create(config: Config, launch: Launch) -> Result<Self, Error> {
        if config.members < 3 || config.rooms == 0 {
            return Err(Error::Setup("at least 3 members and 1 room are needed".into()));
        }
        let api = Api::new(&launch.base(), config.call_limit)?;
        let mut accounts = Vec::with_capacity(config.members);
        for index in 0..config.members {
            let email = format!("member-{index}@example.org");
            let id = api.register(&email, PASSWORD, &format!("Member {index}")).await?.member_id;
            let token = RwLock::new(log_in(&api, &email).await?);
            accounts.push(Account { id, watching: AtomicBool::new(false), email, token });
        }
        let mut places = Vec::with_capacity(config.rooms);
        for index in 0..config.rooms {
            let (owner, churner) = (index % config.members, (index + 1) % config.members);
            let token = accounts.get(owner).map(Account::token).unwrap_or_default();
            let id = api.create_room(&token, &format!("Room {index}")).await?.room_id;
            for (_, account) in accounts.iter().enumerate().filter(|(member, _)| *member != owner) {
                api.add(&token, id, account.id).await?;
            }
            places.push(Place { id, owner, churner, highest: AtomicU64::new(0) });
        }
        let (up, _) = watch::channel(true);
        Ok(Self { config, launch, api, accounts, places, journal: Journal::default(), up })
    }

    /// Logs everyone in again whose token is getting old; only while the server is up.
    pub(super) async fn renew_tokens(&self) -> Result<(), Error> {
        for account in &self.accounts {
            let due = account.token.read().unwrap_or_else(PoisonError::into_inner).renew_at;
            if Instant::now() >= due {
                let token = log_in(&self.api, &account.email).await?;
                *account.token.write().unwrap_or_else(PoisonError::into_inner) = token;
            }
        }
        Ok(())
    }

    /// Says whether the server is up, to everyone who waits for it.
    pub(super) fn set_up(&self, up: bool) {
        self.accounts.iter().for_each(|account| account.watching.store(false, Relaxed));
        self.up.send_replace(up);
    }

    /// Waits until the server is up.
    pub(super) async fn until_up(&self) {
        // An error would mean that the sender is gone, which lives in this very struct.
        self.up.subscribe().wait_for(|up| *up).await.ok();
    }

    /// After something failed: gives the killer time to say so, then waits until the server is up.
    pub(super) async fn pause(&self) {
        sleep(PAUSE).await;
        self.until_up().await;
    }

    /// Repeats a call until it is known what became of it.
    pub(super) async fn until_known<T, F>(&self, mut call: impl FnMut() -> F) -> Known<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut unclear = None;
        let began = Instant::now();
        while began.elapsed() < self.config.give_up {
            self.until_up().await;
            match call().await {
                Ok(value) => return Known::Done(value),
                Err(CallError::Unknown(why)) => unclear = Some(why),
                Err(CallError::Malformed(why)) => {
                    self.journal.incident(format!("malformed answer: {why}"));
                    return Known::Unclear(why);
                }
                Err(error @ CallError::Refused { .. }) => {
                    return match unclear {
                        Some(why) => Known::Unclear(format!("{error}, after {why}")),
                        None => Known::Refused(error.to_string()),
                    };
                }
            }
            self.pause().await;
        }
        let why = unclear.unwrap_or_default();
        self.journal.incident(format!("no answer in {:?}, last: {why}", self.config.give_up));
        Known::Unclear(why)
    }

    /// Random choices of one client in one round, the same for the same seed.
    pub(super) fn rng(&self, round: u32, client: u64) -> StdRng {
        let stream = (u64::from(round) << 32) + client + 1;
        StdRng::seed_from_u64(self.config.seed.wrapping_add(stream.wrapping_mul(SEED_STRIDE)))
    }

    /// The rooms that a member never leaves.
    pub(super) fn stable_places(&self, member: usize) -> Vec<&Place> {
        self.places.iter().filter(|place| place.churner != member).collect()
    }

    /// Notes that a message with this number exists.
    pub(super) fn saw(&self, place: &Place, seq: u64) {
        place.highest.fetch_max(seq, Relaxed);
    }
}

async fn log_in(api: &Api, email: &str) -> Result<Token, Error> {
    let login = api.login(email, PASSWORD).await?;
    let renew_at = Instant::now() + Duration::from_secs(login.expires_in / 3);
    Ok(Token { text: login.access_token.into(), renew_at })
}
