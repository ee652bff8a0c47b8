//! Access tokens: JWT (RFC 7519) signed with HMAC-SHA-256, checked as RFC 8725 asks: one algorithm, issuer, audience and
//! key id fixed.

use crate::{
    random::{bytes, hash, hex},
    secret::JwtSecret,
};
use chrono::DateTime;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;
use verbatim_application::ports::{AccessClaims, TokenIssuer};
use verbatim_domain::{MemberId, Timestamp, member::MemberRole};

/// Issuer (`iss`) and audience (`aud`) of all tokens.
pub const ISSUER: &str = "verbatim";
/// How long a token lives unless configured otherwise.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Longest token that is looked at, in bytes; ours have about 450.
pub const TOKEN_MAX: usize = 2_048;
/// How far the clock of the node that issued a token may be ahead of ours, in seconds. Expiry has no leeway.
const CLOCK_LEEWAY: i64 = 5;

/// Characters of a key id.
const KEY_ID_LEN: usize = 16;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: MemberId,
    role: MemberRole,
    sid: Uuid,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Signs and checks tokens with one secret.
pub struct JwtIssuer {
    header: Header,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

/// A claim can't be expressed; a bug.
#[derive(Debug, thiserror::Error)]
#[error("the token's lifetime is out of range")]
struct LifetimeError;

impl JwtIssuer {
    /// Tokens that live this long ([`ACCESS_LIFETIME`] by default).
    #[must_use]
    pub fn new(secret: &JwtSecret, lifetime: Duration) -> Self {
        let mut header = Header::new(Algorithm::HS256);
        // Tells keys apart without telling anything about them: the start of a hash of a secret of 256 bits.
        header.kid = Some(hex(&hash(secret.reveal())).chars().take(KEY_ID_LEN).collect());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // The library would ask the system's clock; we are given the time.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            header,
            signing: EncodingKey::from_secret(secret.reveal()),
            checking: DecodingKey::from_secret(secret.reveal()),
            validation,
            lifetime,
        }
    }
}

impl TokenIssuer for JwtIssuer {
    /// `exp` is cut to whole seconds; `iat` and `nbf` are a lifetime before it.
    fn issue(&self, claims: &AccessClaims) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let exp = claims.expires_at.timestamp();
        let lifetime = i64::try_from(self.lifetime.as_secs()).map_err(|_| LifetimeError)?;
        let iat = exp.checked_sub(lifetime).ok_or(LifetimeError)?;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: claims.member_id,
            role: claims.role,
            sid: claims.session_id,
            jti: hex(&bytes::<16>()?),
            iat,
            nbf: iat,
            exp,
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.signing)?)
    }

    fn check(&self, token: &str, now: Timestamp) -> Option<AccessClaims> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation).ok()?;
        let (header, claims) = (token.header, token.claims);
        let ours = header.kid == self.header.kid && header.typ == self.header.typ;
        let now = now.timestamp();
        let in_time = claims.nbf.saturating_sub(CLOCK_LEEWAY) <= now && now < claims.exp;
        (ours && in_time).then_some(())?;
        Some(AccessClaims {
            member_id: claims.sub,
            role: claims.role,
            session_id: claims.sid,
            expires_at: DateTime::from_timestamp(claims.exp, 0)?,
        })
    }

    fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn secret(fill: char) -> JwtSecret {
        JwtSecret::parse(&fill.to_string().repeat(32)).unwrap()
    }

    fn issuer() -> JwtIssuer {
        JwtIssuer::new(&secret('s'), ACCESS_LIFETIME)
    }

    fn now() -> Timestamp {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn claims() -> AccessClaims {
        AccessClaims {
            member_id: MemberId::from_uuid(Uuid::from_u128(1)),
            role: MemberRole::Admin,
            session_id: Uuid::from_u128(2),
            expires_at: now() + ACCESS_LIFETIME,
        }
    }

    fn later(seconds: i64) -> Timestamp {
        now() + TimeDelta::seconds(seconds)
    }

    /// What a token says, and what it is signed as, each changed by hand and signed with the right secret.
    fn forged(header: impl FnOnce(&mut Header), payload: impl FnOnce(&mut Value)) -> String {
        let mut changed = issuer().header.clone();
        header(&mut changed);
        let mut says = json!({
            "iss": "verbatim", "aud": "verbatim", "sub": claims().member_id, "role": "admin",
            "sid": claims().session_id, "jti": "x", "iat": now().timestamp(), "nbf": now().timestamp(),
            "exp": later(900).timestamp(),
        });
        payload(&mut says);
        jsonwebtoken::encode(&changed, &says, &issuer().signing).unwrap()
    }

    #[test]
    fn a_token_says_what_was_put_in() {
        let token = issuer().issue(&claims()).unwrap();
        assert_eq!(issuer().check(&token, now()), Some(claims()));
        assert_ne!(issuer().issue(&claims()).unwrap(), token, "each has an id of its own");
        assert!(issuer().check(&forged(|_| {}, |_| {}), now()).is_some());
    }

    #[test]
    fn a_token_holds_from_its_start_to_its_end() {
        let token = issuer().issue(&claims()).unwrap();
        for (at, holds) in [(-6, false), (-5, true), (0, true), (899, true), (900, false), (100_000, false)] {
            assert_eq!(issuer().check(&token, later(at)).is_some(), holds, "after {at} s");
        }
    }

    #[test]
    fn another_secret_makes_another_token() {
        let other = JwtIssuer::new(&secret('t'), ACCESS_LIFETIME);
        assert_ne!(other.header.kid, issuer().header.kid);
        assert_eq!(issuer().check(&other.issue(&claims()).unwrap(), now()), None);
    }

    #[test]
    fn each_claim_and_header_is_checked() {
        let other_algorithm = forged(|h| h.alg = Algorithm::HS512, |_| {});
        assert_eq!(issuer().check(&other_algorithm, now()), None);
        assert_eq!(issuer().check(&forged(|h| h.kid = None, |_| {}), now()), None);
        assert_eq!(issuer().check(&forged(|h| h.kid = Some("x".into()), |_| {}), now()), None);
        assert_eq!(issuer().check(&forged(|h| h.typ = Some("at+jwt".into()), |_| {}), now()), None);
        for claim in ["iss", "aud", "sub", "role", "sid", "exp", "nbf"] {
            for wrong in [json!("other"), json!(null), json!([]), json!(-1.5)] {
                let token = forged(|_| {}, |says| says[claim] = wrong.clone());
                assert_eq!(issuer().check(&token, now()), None, "{claim} = {wrong}");
            }
            let without = forged(|_| {}, |says| drop(says.as_object_mut().unwrap().remove(claim)));
            assert_eq!(issuer().check(&without, now()), None, "no {claim}");
        }
    }

    #[test]
    fn an_unsigned_token_is_none() {
        // {"alg":"none","typ":"JWT"}
        let token = issuer().issue(&claims()).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
        assert_eq!(issuer().check(&none, now()), None);
    }

    #[test]
    fn a_key_id_does_not_show_the_secret() {
        let token = issuer().issue(&claims()).unwrap();
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        assert_eq!(kid.len(), KEY_ID_LEN);
        assert!(!kid.contains('s'));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_and_none_panics(text in "\\PC{0,300}", at in 0_usize..400, by in 1_u8..255) {
            prop_assert_eq!(issuer().check(&text, now()), None);
            let mut token = issuer().issue(&claims()).unwrap().into_bytes();
            let at = at % token.len();
            token[at] ^= by;
            if let Ok(token) = String::from_utf8(token) {
                // The last character of a base64 text holds bits that mean nothing; nothing else may change.
                prop_assert!(issuer().check(&token, now()).is_none_or(|c| c == claims()));
            }
        }
    }
}
