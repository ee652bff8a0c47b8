//! argon2id, off the async threads and only so many at once.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc},
};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::Semaphore;
use verbatim_application::ports::{IdentityError, PasswordHasher};
use verbatim_domain::text::{Password, PasswordHash};

/// Hashes that wait for a place. One more is refused.
const WAITING_MAX: usize = 256;

/// argon2id with OWASP's parameters (19 MiB, two passes, one lane).
pub struct Argon2Hasher {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> IdentityError {
    IdentityError::Unavailable(Box::new(error))
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

impl Argon2Hasher {
    /// One hash at a time for each core.
    #[must_use]
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { places: Arc::new(Semaphore::new(cores)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, IdentityError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| IdentityError::Overloaded)?;
        let place = self.places.clone().acquire_owned().await.map_err(unavailable)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        done.await.map_err(unavailable)
    }
}

impl Default for Argon2Hasher {
    fn default() -> Self {
        Self::new()
    }
}

fn hash(password: &Password) -> Result<PasswordHash, argon2::password_hash::Error> {
    let salt: [u8; 16] = rand::random();
    let phc = argon2().hash_password_with_salt(password.reveal().as_bytes(), &salt)?;
    Ok(PasswordHash::new(phc.to_string()))
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, IdentityError> {
        self.run(move || hash(&password)).await?.map_err(unavailable)
    }

    async fn verify(&self, password: Password, stored: Option<PasswordHash>) -> Result<bool, IdentityError> {
        self.run(move || match stored {
            Some(stored) => phc::PasswordHash::new(stored.reveal())
                .is_ok_and(|stored| argon2().verify_password(password.reveal().as_bytes(), &stored).is_ok()),
            None => {
                // As long as a real one takes, and the answer is no.
                let _ = hash(&password);
                false
            }
        })
        .await
    }
}
