//! How many failed log-ins are too many; the same for every store.

use crate::random::{Hash, hash};
use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// Failures of one account that cost nothing. After this many, each costs a wait: 1 s, 2 s, 4 s …
pub const ACCOUNT_FREE_FAILURES: u32 = 5;
/// The longest wait of an account.
pub const ACCOUNT_LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Failures from one address in one [`ADDRESS_WINDOW`].
pub const ADDRESS_FAILURES: u32 = 50;
/// Begins with an address's first failure.
pub const ADDRESS_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Accounts, and addresses, whose failures are kept; beyond, those that would be forgotten first are.
pub const FAILURE_ROWS: u32 = 100_000;
/// An account's failures are forgotten after this long without another.
pub(crate) const ACCOUNT_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// The first wait.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The rows are counted at one attempt in so many, by its microsecond.
pub(crate) const COUNT_EVERY: i64 = 256;

/// How long the account waits after so many failures.
pub(crate) fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(ACCOUNT_FREE_FAILURES) {
        None => Duration::ZERO,
        Some(beyond) => {
            let factor = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
            FIRST_WAIT.saturating_mul(factor).min(ACCOUNT_LONGEST_WAIT)
        }
    }
}

/// What an address counts as: an IPv6 customer has a whole /64 to choose from (RFC 6177).
pub(crate) fn counted(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
    }
}

/// A hash, so that the store holds no list of e-mail addresses that somebody tried.
pub(crate) fn key(account: &str) -> Hash {
    hash(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let seconds: Vec<_> = [0, 4, 5, 6, 7, 14, 15, 40, u32::MAX].map(|n| wait_after(n).as_secs()).to_vec();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 512, 900, 900, 900]);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let counted = |text: &str| counted(text.parse().unwrap());
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2::1"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
