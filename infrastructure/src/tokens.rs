//! Access tokens: JWT, HS256.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};
use uuid::Uuid;
use verbatim_application::ports::{AccessClaims, TokenIssuer};
use verbatim_domain::{MemberId, Timestamp, member::MemberRole};

const ISSUER: &str = "verbatim";
const AUDIENCE: &str = "verbatim";
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Shortest key, in bytes (RFC 7518, section 3.2).
const SECRET_MIN: usize = 32;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: MemberId,
    role: MemberRole,
    sid: Uuid,
    exp: i64,
}

/// The key is too short.
#[derive(Debug, thiserror::Error)]
#[error("the key must have at least {SECRET_MIN} bytes")]
pub struct ShortSecret;

/// Signs and checks access tokens.
pub struct JwtIssuer {
    key_id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl JwtIssuer {
    /// An issuer with this key.
    ///
    /// # Errors
    /// [`ShortSecret`]
    pub fn new(secret: &[u8]) -> Result<Self, ShortSecret> {
        if secret.len() < SECRET_MIN {
            return Err(ShortSecret);
        }
        let key_id = Sha256::digest(secret).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_exp = false;
        Ok(Self {
            key_id,
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        })
    }
}

impl TokenIssuer for JwtIssuer {
    fn issue(&self, claims: &AccessClaims) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::HS256) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: claims.member_id,
            role: claims.role,
            sid: claims.session_id,
            exp: claims.expires_at.timestamp(),
        };
        Ok(encode(&header, &claims, &self.encoding)?)
    }

    fn check(&self, token: &str, now: Timestamp) -> Option<AccessClaims> {
        let header = decode_header(token).ok()?;
        if header.kid.as_deref() != Some(self.key_id.as_str()) {
            return None;
        }
        let claims = decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        let expires_at = chrono::DateTime::from_timestamp(claims.exp, 0)?;
        (now < expires_at).then_some(AccessClaims {
            member_id: claims.sub,
            role: claims.role,
            session_id: claims.sid,
            expires_at,
        })
    }

    fn lifetime(&self) -> Duration {
        LIFETIME
    }
}

/// The key in `path`, made at the first start.
///
/// # Errors
/// The file can't be read or made.
pub fn load_or_create_secret(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(secret) => return Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret: [u8; 32] = rand::random();
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text.into_bytes())
}
