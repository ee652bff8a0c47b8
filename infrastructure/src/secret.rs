//! The secret that signs tokens.

use crate::{
    files::{private, provisional, publish},
    random::{bytes, hex},
};
use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Shortest secret, in bytes (RFC 7518 section 3.2: at least the size of the hash).
pub const SECRET_MIN: usize = 32;
/// Longest secret file, in bytes.
const SECRET_MAX: u64 = 4_096;

/// A secret of at least [`SECRET_MIN`] bytes. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSecret(Vec<u8>);

/// Why there is no secret. Never says what it was.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Too short to be one.
    #[error("the secret has {0} bytes, and needs at least {SECRET_MIN}")]
    TooShort(usize),
    /// Its file is too long to be one.
    #[error("{} is too large for a secret", .0.display())]
    TooLong(PathBuf),
    /// Its file can't be read or written.
    #[error("the secret in {} can't be had", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operating system has no random bytes.
    #[error("no random bytes for a secret")]
    Random(#[source] rand::rand_core::OsError),
}

impl JwtSecret {
    /// Takes a secret as configured; white space around it is no part of it.
    ///
    /// # Errors
    /// [`SecretError::TooShort`]
    pub fn parse(secret: &str) -> Result<Self, SecretError> {
        let secret = secret.trim();
        if secret.len() < SECRET_MIN {
            Err(SecretError::TooShort(secret.len()))
        } else {
            Ok(Self(secret.into()))
        }
    }

    pub(crate) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(***)")
    }
}

/// The secret in `path`; if there is none, 256 random bits in hex are put there, for the owner's eyes only. Of two that
/// start at once, both get the same. One that is there is never replaced, also when it is no good.
///
/// # Errors
/// [`SecretError`]
pub fn load_or_create_secret(path: impl AsRef<Path>) -> Result<JwtSecret, SecretError> {
    let path = path.as_ref();
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    if let Some(secret) = load(path)? {
        return Ok(secret);
    }
    let secret = hex(&bytes::<32>().map_err(SecretError::Random)?);
    let new = provisional(path);
    let written = private(OpenOptions::new().write(true).create_new(true)).open(&new).and_then(|mut file| {
        file.write_all(secret.as_bytes())?;
        file.sync_all()?;
        publish(&new, path)
    });
    let _ = fs::remove_file(&new);
    written.map_err(failed)?;
    load(path)?.ok_or_else(|| failed(ErrorKind::NotFound.into()))
}

fn load(path: &Path) -> Result<Option<JwtSecret>, SecretError> {
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(meta) if meta.len() > SECRET_MAX => return Err(SecretError::TooLong(path.to_owned())),
        Ok(_) => {}
    }
    JwtSecret::parse(&fs::read_to_string(path).map_err(failed)?).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.secret");
        let first = load_or_create_secret(&path).unwrap();
        assert_eq!(first.reveal().len(), 64);
        assert_eq!(load_or_create_secret(&path).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let other = load_or_create_secret(folder.path().join("other")).unwrap();
        assert_ne!(other, first);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.secret");
        load_or_create_secret(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn all_who_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.secret");
        let starts: Vec<_> = (0..16)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || load_or_create_secret(path).unwrap())
            })
            .collect();
        let secrets: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        assert!(secrets.windows(2).all(|two| two[0] == two[1]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_one_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.secret");
        for (bad, like) in [("", "0 bytes"), ("too short", "9 bytes"), (&"x".repeat(5_000), "too large")] {
            fs::write(&path, bad).unwrap();
            let error = load_or_create_secret(&path).unwrap_err().to_string();
            assert!(error.contains(like), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        assert!(load_or_create_secret(folder.path().join("nowhere/secret")).is_err());
    }

    #[test]
    fn it_is_not_shown() {
        let secret = JwtSecret::parse("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "JwtSecret(***)");
        assert!(matches!(JwtSecret::parse(&"x".repeat(31)), Err(SecretError::TooShort(31))));
    }
}
