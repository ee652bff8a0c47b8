//! Access tokens that nobody issued, or not for this.

use crate::kit::{Api, restart, start_with};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

const SECRET: &str = "the key of this test, known to it, 32 bytes or more";

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token with these claims and the header of a genuine one, but for what `change` does to it.
fn forge(genuine: &str, secret: &[u8], change: impl FnOnce(&mut Header, &mut Value)) -> String {
    let mut header: Header = serde_json::from_value(part(genuine, 0)).unwrap();
    let mut claims = part(genuine, 1);
    change(&mut header, &mut claims);
    encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
}

async fn is_refused(api: &Api, what: &str, token: &str) {
    let answer = api.get("/members/me").bearer(token).problem(401, "invalid_token").await;
    assert_eq!(answer.header("WWW-Authenticate"), Some(r#"Bearer error="invalid_token""#), "{what}");
    assert!(token.len() < 10 || !answer.text().contains(token), "{what}: the answer repeats the token");
}

#[tokio::test]
async fn only_tokens_that_were_issued_for_this_are_taken() {
    let (_server, api) = start_with(&[("VERBATIM_JWT_SECRET", SECRET)]).await;
    let ada = api.user("Ada").await;
    let claims = part(&ada.token, 1);
    for claim in ["iss", "aud", "sub", "exp", "sid"] {
        assert!(!claims[claim].is_null(), "no claim {claim} in {claims}");
    }
    let header = part(&ada.token, 0);
    assert!(header["kid"].is_string(), "{header}");
    assert_eq!(claims["sub"], ada.id);

    // First that forging works at all: the same claims under the same key are genuine.
    let same = forge(&ada.token, SECRET.as_bytes(), |_, _| {});
    api.get("/members/me").bearer(&same).ok(200).await;

    let now = claims["exp"].as_i64().unwrap();
    let forged = [
        ("another key", forge(&ada.token, b"another key, which is also 32 bytes long", |_, _| {})),
        ("no key", forge(&ada.token, b"", |_, _| {})),
        ("expired", forge(&ada.token, SECRET.as_bytes(), |_, claims| claims["exp"] = json!(now - 100_000))),
        (
            "no end",
            forge(&ada.token, SECRET.as_bytes(), |_, claims| {
                claims.as_object_mut().unwrap().remove("exp");
            }),
        ),
        (
            "another audience",
            forge(&ada.token, SECRET.as_bytes(), |_, claims| claims["aud"] = json!("others")),
        ),
        (
            "no audience",
            forge(&ada.token, SECRET.as_bytes(), |_, claims| {
                claims.as_object_mut().unwrap().remove("aud");
            }),
        ),
        ("another issuer", forge(&ada.token, SECRET.as_bytes(), |_, claims| claims["iss"] = json!("others"))),
        (
            "no issuer",
            forge(&ada.token, SECRET.as_bytes(), |_, claims| {
                claims.as_object_mut().unwrap().remove("iss");
            }),
        ),
        (
            "another algorithm",
            forge(&ada.token, SECRET.as_bytes(), |header, _| header.alg = Algorithm::HS384),
        ),
        (
            "another key id",
            forge(&ada.token, SECRET.as_bytes(), |header, _| header.kid = Some("other".to_owned())),
        ),
    ];
    for (what, token) in &forged {
        is_refused(&api, what, token).await;
    }
}

#[tokio::test]
async fn a_token_without_signature_is_refused() {
    let (_server, api) = start_with(&[("VERBATIM_JWT_SECRET", SECRET)]).await;
    let ada = api.user("Ada").await;
    let parts: Vec<&str> = ada.token.split('.').collect();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let mut header = part(&ada.token, 0);
        header["alg"] = json!(alg);
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        for signature in ["", parts[2]] {
            is_refused(&api, alg, &format!("{header}.{}.{signature}", parts[1])).await;
        }
    }
    let mut admin = part(&ada.token, 1);
    admin["role"] = json!("admin");
    let admin = URL_SAFE_NO_PAD.encode(admin.to_string());
    is_refused(&api, "other claims", &format!("{}.{admin}.{}", parts[0], parts[2])).await;
    is_refused(&api, "cut", &ada.token[..ada.token.len() - 2]).await;
    is_refused(&api, "two parts", &format!("{}.{}", parts[0], parts[1])).await;
    is_refused(&api, "no token", "x").await;
    is_refused(&api, "long", &"x".repeat(4_000)).await;
    is_refused(&api, "refresh token", &ada.refresh).await;
}

#[tokio::test]
async fn a_token_is_taken_from_the_header_only() {
    let (_server, api) = start_with(&[]).await;
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    for name in ["token", "access_token", "ticket", "authorization", "jwt"] {
        for path in ["/members/me", "/me/rooms", &room.at("/messages")] {
            let answer = api.get(&format!("{path}?{name}={}", ada.token)).problem(401, "missing_token").await;
            assert!(!answer.text().contains(&ada.token));
        }
    }
    for path in ["/me/events", &room.at("/events")] {
        for name in ["token", "access_token"] {
            api.get(&format!("{path}?{name}={}", ada.token)).problem(401, "missing_token").await;
        }
        let answer = api.get(&format!("{path}?ticket={}", ada.token)).send().await;
        assert!(matches!(answer.status, 400 | 401), "{answer}");
    }
    api.get("/members/me")
        .header("Cookie", format!("token={}", ada.token))
        .problem(401, "missing_token")
        .await;
    for odd in ["", "Bearer", "Bearer ", "Basic YTpi", "bearer"] {
        api.get("/members/me").header("Authorization", odd).problem(401, "missing_token").await;
    }
    // The scheme's case does not matter (RFC 9110, section 11.1).
    api.get("/members/me").header("Authorization", format!("bEARER {}", ada.token)).ok(200).await;
}

#[tokio::test]
async fn a_generated_key_is_kept_private_and_makes_tokens_that_last() {
    let (mut server, api) = start_with(&[]).await;
    let ada = api.user("Ada").await;
    let mut private = 0;
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        use std::os::unix::fs::PermissionsExt;
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let name = entry.file_name().into_string().unwrap();
        if bytes.len() < 1_000 && !name.ends_with(".db") && !bytes.is_empty() && name.contains("secret") {
            assert_eq!(mode, 0o600, "{name}");
            private += 1;
        }
    }
    assert_eq!(private, 1, "no file with the key in {:?}", server.data());
    let api = restart(&mut server).await;
    api.get("/members/me").by(&ada).ok(200).await;
}
