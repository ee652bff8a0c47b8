//! What client and server agree on before the first message: subprotocol, version, heart-beats.

use std::time::Duration;

use super::frame::Version;

/// The `version` header of the `ERROR` that answers a `CONNECT` without a common version.
pub const SUPPORTED_VERSIONS: &str = "1.0,1.1,1.2";

/// How much longer than agreed the server waits for data before it calls the client dead, as a multiple: "the receiver
/// SHOULD be tolerant and take into account an error margin" (1.2, Heart-beating). Clients use twice as well.
pub const HEART_BEAT_TOLERANCE: u32 = 2;

/// The least margin on top of the agreed interval, for intervals so short that a busy network exceeds them.
pub const MIN_HEART_BEAT_MARGIN: Duration = Duration::from_secs(2);

/// A subprotocol that the client offered and the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subprotocol<'a> {
    /// Its STOMP version. `CONNECT` decides the session's version all the same.
    pub version: Version,
    /// The name as the client spelled it: the handshake's answer must repeat it exactly (RFC 6455, 4.1).
    pub name: &'a str,
}

/// The highest STOMP version among the values of all `Sec-WebSocket-Protocol` headers, wherever it stands:
/// webstomp-client offers `v10.stomp` first. `None` if no STOMP subprotocol is offered, which is fine: plain clients
/// offer none.
pub fn choose_subprotocol<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Subprotocol<'a>> {
    values
        .into_iter()
        .flat_map(|value| value.split(','))
        .filter_map(|name| {
            let name = name.trim();
            let version = Version::ALL.into_iter().find(|v| v.subprotocol().eq_ignore_ascii_case(name))?;
            Some(Subprotocol { version, name })
        })
        .reduce(|best, next| if next.version > best.version { next } else { best })
}

/// The highest common version (1.2, Protocol Negotiation). A missing header means 1.0 only; `None` means that there
/// is none in common.
#[must_use]
pub fn choose_version(accept_version: Option<&str>) -> Option<Version> {
    let Some(offered) = accept_version else { return Some(Version::V1_0) };
    offered
        .split(',')
        .filter_map(|name| Version::ALL.into_iter().find(|version| version.as_str() == name.trim()))
        .max()
}

/// One side's `heart-beat` header: the interval at which it can send, and at which it would like to receive, in
/// milliseconds; 0 means never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartBeatPolicy {
    /// The shortest interval between heart-beats that this side guarantees.
    pub send_ms: u32,
    /// The interval at which this side would like to receive.
    pub want_ms: u32,
}

impl HeartBeatPolicy {
    /// No heart-beats either way: what a missing header means.
    pub const NONE: Self = Self { send_ms: 0, want_ms: 0 };

    /// Reads the header's value, `cx,cy`. Spaces around the numbers are let pass; `None` if it is anything but two
    /// numbers below 2^32.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = text.trim_matches(' ');
            let digits = Some(digits).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<u32>().ok()
        };
        let (send, want) = value.split_once(',')?;
        Some(Self { send_ms: number(send)?, want_ms: number(want)? })
    }
}

impl Default for HeartBeatPolicy {
    /// Ten seconds both ways, what browser clients ask for.
    fn default() -> Self {
        Self { send_ms: 10_000, want_ms: 10_000 }
    }
}

/// The heart-beats agreed on, as the server sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartBeat {
    /// What `CONNECTED` says.
    pub announce: HeartBeatPolicy,
    /// The client must receive something at least this often; `None`: no heart-beats needed.
    pub send_every: Option<Duration>,
    /// The client promised to send something at least this often; `None`: it promised nothing.
    pub receive_every: Option<Duration>,
}

impl HeartBeat {
    /// None either way, as in 1.0.
    pub const NONE: Self = Self { announce: HeartBeatPolicy::NONE, send_every: None, receive_every: None };

    /// MAX of what one can and the other wants, none if either is 0 (1.2, Heart-beating).
    #[must_use]
    pub fn negotiate(client: HeartBeatPolicy, server: HeartBeatPolicy) -> Self {
        Self {
            announce: server,
            send_every: interval(server.send_ms, client.want_ms),
            receive_every: interval(client.send_ms, server.want_ms),
        }
    }

    /// After how long without sending anything a heart-beat is due: a tenth before the agreed interval ends, because
    /// timers fire late and the promise is "at least every n milliseconds".
    #[must_use]
    pub fn send_after(&self) -> Option<Duration> {
        self.send_every.map(|every| every - every / 10)
    }

    /// After how long without receiving anything the client counts as dead: the agreed interval and a margin.
    #[must_use]
    pub fn receive_timeout(&self) -> Option<Duration> {
        self.receive_every.map(|every| (every * HEART_BEAT_TOLERANCE).max(every + MIN_HEART_BEAT_MARGIN))
    }
}

fn interval(can_ms: u32, wants_ms: u32) -> Option<Duration> {
    (can_ms != 0 && wants_ms != 0).then(|| Duration::from_millis(u64::from(can_ms.max(wants_ms))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_subprotocol_wins_wherever_it_stands() {
        let webstomp = choose_subprotocol(["v10.stomp, v11.stomp, v12.stomp"]).unwrap();
        assert_eq!((webstomp.version, webstomp.name), (Version::V1_2, "v12.stomp"));
        let highest_first = choose_subprotocol(["v12.stomp,v11.stomp"]).unwrap();
        assert_eq!(highest_first.version, Version::V1_2);
        let repeated = choose_subprotocol(["v11.stomp", "other, v10.stomp"]).unwrap();
        assert_eq!(repeated.version, Version::V1_1);
    }

    #[test]
    fn a_subprotocol_is_answered_as_the_client_spelled_it() {
        assert_eq!(choose_subprotocol(["  V12.Stomp ,v11.stomp"]).unwrap().name, "V12.Stomp");
        assert_eq!(choose_subprotocol(["graphql-ws"]), None);
        assert_eq!(choose_subprotocol([]), None);
    }

    /// 1.2, Protocol Negotiation.
    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(choose_version(Some("1.0,1.1,2.0")), Some(Version::V1_1));
        assert_eq!(choose_version(Some("1.2,1.1,1.0")), Some(Version::V1_2));
        assert_eq!(choose_version(Some(" 1.1 , 1.2 ")), Some(Version::V1_2));
        assert_eq!(choose_version(None), Some(Version::V1_0), "missing means 1.0 only");
        assert_eq!(choose_version(Some("2.0")), None);
        assert_eq!(choose_version(Some("")), None);
    }

    /// 1.2, Heart-beating: "MUST contain two positive integers separated by a comma".
    #[test]
    fn heart_beat_is_two_numbers() {
        assert_eq!(HeartBeatPolicy::parse("0,0"), Some(HeartBeatPolicy::NONE));
        assert_eq!(HeartBeatPolicy::parse("500, 7"), Some(HeartBeatPolicy { send_ms: 500, want_ms: 7 }));
        for bad in ["", ",", "1", "1,", ",1", "-1,0", "+1,0", "1,2,3", "a,b", "1.5,2", "4294967296,0"] {
            assert_eq!(HeartBeatPolicy::parse(bad), None, "{bad}");
        }
    }

    /// 1.2, Heart-beating: MAX(cx,sy) and MAX(sx,cy); 0 on either side means none in that direction.
    #[test]
    fn heart_beat_intervals_are_the_larger_of_can_and_wants() {
        let agree = |cx, cy, sx, sy| {
            let client = HeartBeatPolicy { send_ms: cx, want_ms: cy };
            let got = HeartBeat::negotiate(client, HeartBeatPolicy { send_ms: sx, want_ms: sy });
            let ms = |d: Option<Duration>| d.map(|d| d.as_millis());
            (ms(got.send_every), ms(got.receive_every))
        };
        assert_eq!(agree(4_000, 30_000, 10_000, 20_000), (Some(30_000), Some(20_000)));
        assert_eq!(agree(40_000, 3_000, 10_000, 20_000), (Some(10_000), Some(40_000)));
        assert_eq!(agree(0, 3_000, 10_000, 20_000), (Some(10_000), None));
        assert_eq!(agree(5_000, 0, 10_000, 20_000), (None, Some(20_000)));
        assert_eq!(agree(5_000, 5_000, 0, 0), (None, None));
    }

    #[test]
    fn the_server_beats_early_and_waits_late() {
        let policy = HeartBeatPolicy { send_ms: 10_000, want_ms: 10_000 };
        let agreed = HeartBeat::negotiate(policy, policy);
        assert_eq!(agreed.send_after(), Some(Duration::from_secs(9)));
        assert_eq!(agreed.receive_timeout(), Some(Duration::from_secs(20)));
        let quick = HeartBeatPolicy { send_ms: 100, want_ms: 100 };
        let timeout = HeartBeat::negotiate(quick, quick).receive_timeout();
        assert_eq!(timeout, Some(Duration::from_millis(2_100)));
        let huge = HeartBeatPolicy { send_ms: u32::MAX, want_ms: u32::MAX };
        assert!(HeartBeat::negotiate(huge, huge).receive_timeout().is_some());
    }
}
