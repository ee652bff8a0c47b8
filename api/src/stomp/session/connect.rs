//! Reading `CONNECT`.

use super::action::{BearerToken, ConnectRequest};
use super::violation::Violation;
use crate::stomp::frame::{Frame, Version};
use crate::stomp::negotiate::{HeartBeat, HeartBeatPolicy, choose_version};

/// Settles version and heart-beats and finds the credentials.
pub(super) fn read(frame: &Frame, server: HeartBeatPolicy) -> Result<ConnectRequest, Violation> {
    let version = choose_version(frame.header("accept-version")).ok_or(Violation::UnsupportedVersion)?;
    // The decoder reads CONNECT before the version is known, so the padding that 1.0 allows is still there.
    let header = |name| {
        let value = frame.header(name)?;
        Some(if version == Version::V1_0 { value.trim_matches([' ', '\t']) } else { value })
    };
    let heart_beat = match header("heart-beat") {
        _ if version == Version::V1_0 => HeartBeat::NONE,
        None => HeartBeat::negotiate(HeartBeatPolicy::NONE, server),
        Some(value) => {
            HeartBeat::negotiate(HeartBeatPolicy::parse(value).ok_or(Violation::BadHeartBeat)?, server)
        }
    };
    let bearer = frame.headers.get_ignore_case("authorization").and_then(bearer);
    let token = bearer.or_else(|| header("passcode").filter(|p| !p.is_empty()));
    Ok(ConnectRequest {
        version,
        token: token.map(BearerToken::new),
        login: header("login").map(str::to_owned),
        host: header("host").map(str::to_owned),
        heart_beat,
    })
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
