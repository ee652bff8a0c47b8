//! Passwords, hashed with Argon2id (RFC 9106).

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash as Phc,
};
use async_trait::async_trait;
use std::{sync::Arc, thread::available_parallelism, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use verbatim_application::ports::{IdentityError, PasswordHasher};
use verbatim_domain::text::{Password, PasswordHash};

/// Memory for one hash, in KiB (OWASP Password Storage Cheat Sheet: Argon2id, 19 MiB, 2 passes, 1 lane).
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over the memory.
pub const PASSES: u32 = 2;
/// Lanes.
pub const LANES: u32 = 1;
/// Hashes that may be under way or wait at once; more are refused.
pub const HASH_QUEUE: usize = 256;
/// How long a hash may wait for its turn.
pub const HASH_WAIT: Duration = Duration::from_secs(5);
/// Bytes of salt (RFC 9106 section 3.1).
const SALT: usize = 16;

/// Argon2id on tokio's threads for blocking work, as many at once as the machine has cores.
pub struct Argon2Hasher {
    waiting: Semaphore,
    cores: Arc<Semaphore>,
    /// What is verified against when there is no account: takes as long as a real one.
    nobody: Arc<str>,
}

/// The parameters are out of range, or there is no randomness. Either is no condition to start in.
#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// Argon2 refuses.
    #[error("Argon2 can't hash: {0}")]
    Argon2(String),
    /// The operating system has no random bytes.
    #[error("no random bytes")]
    Random(#[source] rand::rand_core::OsError),
    /// The thread died.
    #[error("the hashing thread died")]
    Died(#[source] tokio::task::JoinError),
}

fn argon2() -> Result<Argon2<'static>, HasherError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| HasherError::Argon2(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, HasherError> {
    let salt = crate::random::bytes::<SALT>().map_err(HasherError::Random)?;
    let phc: Phc =
        argon2()?.hash_password_with_salt(password, &salt).map_err(|e| HasherError::Argon2(e.to_string()))?;
    Ok(phc.to_string())
}

/// With the parameters that the hash names, so that old hashes go on working when ours change.
fn verify(password: &[u8], phc: &str) -> Result<bool, HasherError> {
    let Ok(phc) = Phc::new(phc) else { return Ok(false) };
    Ok(argon2()?.verify_password(password, &phc).is_ok())
}

/// Without a hash, the work is done all the same, and comes to nothing.
fn fits(password: &Password, hash: Option<&PasswordHash>, nobody: &str) -> Result<bool, HasherError> {
    let password = password.reveal().as_bytes();
    match hash {
        Some(hash) => verify(password, hash.reveal()),
        None => verify(password, nobody).map(|_| false),
    }
}

impl Argon2Hasher {
    /// Hashes once, to have something to compare with where there is no account; takes some 20 ms.
    ///
    /// # Errors
    /// [`HasherError`]
    pub fn new() -> Result<Self, HasherError> {
        let nobody = crate::random::bytes::<32>().map_err(HasherError::Random)?;
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            waiting: Semaphore::new(HASH_QUEUE),
            cores: Arc::new(Semaphore::new(cores)),
            nobody: hash(&nobody)?.into(),
        })
    }

    /// Waits for a core, but neither behind too many others nor too long.
    async fn core(&self) -> Result<OwnedSemaphorePermit, IdentityError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| IdentityError::Overloaded)?;
        let core = timeout(HASH_WAIT, Arc::clone(&self.cores).acquire_owned()).await;
        core.ok().and_then(Result::ok).ok_or(IdentityError::Overloaded)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HasherError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let core = self.core().await?;
        let work = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, also when the caller has gone.
            let _core = core;
            work()
        });
        let outcome = work.await.map_err(HasherError::Died).and_then(|outcome| outcome);
        outcome.map_err(|error| IdentityError::Unavailable(Box::new(error)))
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, IdentityError> {
        self.work(move || hash(password.reveal().as_bytes()).map(PasswordHash::new)).await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, IdentityError> {
        let nobody = Arc::clone(&self.nobody);
        self.work(move || fits(&password, hash.as_ref(), &nobody)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_fits_and_no_other() {
        let hasher = Argon2Hasher::new().unwrap();
        let hash = hasher.hash(password("correct horse")).await.unwrap();
        assert!(hash.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.reveal());
        assert!(hasher.verify(password("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password("correct Horse"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password("correct horse"), None).await.unwrap());
        assert_ne!(hasher.hash(password("correct horse")).await.unwrap(), hash, "salted");
    }

    #[tokio::test]
    async fn hashes_with_other_parameters_go_on_working() {
        let params = Params::new(64, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let phc: Phc = weak.hash_password_with_salt(b"correct horse", &[7; 16]).unwrap();
        let hash = Some(PasswordHash::new(phc.to_string()));
        let hasher = Argon2Hasher::new().unwrap();
        assert!(hasher.verify(password("correct horse"), hash.clone()).await.unwrap());
        assert!(!hasher.verify(password("wrong horse"), hash).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_that_is_none_fits_nothing() {
        let hasher = Argon2Hasher::new().unwrap();
        for nonsense in ["", "$argon2id$", "plain text", "$2b$12$abcdefghijklmnopqrstuv"] {
            let hash = Some(PasswordHash::new(nonsense.to_owned()));
            assert!(!hasher.verify(password("correct horse"), hash).await.unwrap(), "{nonsense}");
        }
    }

    /// Nanoseconds that this thread has been on a core: unlike the clock, it does not count what else the machine does.
    #[cfg(target_os = "linux")]
    fn on_core() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_an_account_it_takes_as_long() {
        let hasher = Argon2Hasher::new().unwrap();
        let hash = PasswordHash::new(hash(b"correct horse").unwrap());
        let mut least = [u64::MAX; 2];
        for _ in 0..5 {
            for (least, hash) in least.iter_mut().zip([Some(&hash), None]) {
                let start = on_core();
                assert!(!fits(&password("wrong horse"), hash, &hasher.nobody).unwrap());
                *least = (on_core() - start).min(*least);
            }
        }
        let [with, without] = least;
        assert!(without < with * 3 && with < without * 3, "{least:?}");
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_are_refused_at_once() {
        let hasher = Arc::new(Argon2Hasher::new().unwrap());
        let cores = u32::try_from(available_parallelism().unwrap().get()).unwrap();
        let busy = Arc::clone(&hasher.cores).acquire_many_owned(cores).await.unwrap();
        let waiting: Vec<_> = (0..HASH_QUEUE)
            .map(|_| {
                let hasher = Arc::clone(&hasher);
                tokio::spawn(async move { hasher.core().await.is_ok() })
            })
            .collect();
        while hasher.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = hasher.hash(password("correct horse")).await;
        assert!(matches!(refused, Err(IdentityError::Overloaded)));
        drop(busy);
        for waited in waiting {
            assert!(waited.await.unwrap(), "those before get their turn");
        }
    }
}
