//! [`LoginLimiter`] on SQLite, so that a restart does not forget who was guessing.

use super::{SWEEP, SqliteSessions, micros};
use crate::random::hash;
use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use verbatim_application::ports::{IdentityError, LoginLimiter};
use verbatim_domain::Timestamp;

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
const ACCOUNT_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// The first wait.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The rows are counted at one attempt in so many, by its microsecond.
const COUNT_EVERY: i64 = 256;

/// Limits in an SQLite file; made by [`SqliteSessions::limiter`].
#[derive(Clone)]
pub struct SqliteLoginLimiter(SqliteSessions);

impl SqliteLoginLimiter {
    pub(super) fn new(file: SqliteSessions) -> Self {
        Self(file)
    }
}

/// How long the account waits after so many failures.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(ACCOUNT_FREE_FAILURES) {
        None => Duration::ZERO,
        Some(beyond) => {
            let factor = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
            FIRST_WAIT.saturating_mul(factor).min(ACCOUNT_LONGEST_WAIT)
        }
    }
}

/// What an address counts as: an IPv6 customer has a whole /64 to choose from (RFC 6177).
fn counted(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
    }
}

/// A hash, so that the file holds no list of e-mail addresses that somebody tried.
fn key(account: &str) -> [u8; 32] {
    hash(account)
}

fn until(then: i64, now: i64) -> Option<Duration> {
    u64::try_from(then.saturating_sub(now)).ok().filter(|wait| *wait > 0).map(Duration::from_micros)
}

fn account_wait(
    transaction: &Transaction<'_>,
    account: [u8; 32],
    now: Timestamp,
) -> rusqlite::Result<Result<u32, Duration>> {
    let sql = "SELECT failures, wait_until, forget_at FROM account_failures WHERE account = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let found = transaction.prepare_cached(sql)?.query_row([account], read).optional()?;
    let now = now.timestamp_micros();
    Ok(match found {
        Some((failures, wait_until, forget_at)) if forget_at > now => match until(wait_until, now) {
            Some(wait) => Err(wait),
            None => Ok(failures),
        },
        _ => Ok(0),
    })
}

/// Failures in the window, and when it ends.
fn address_wait(
    transaction: &Transaction<'_>,
    address: &str,
    now: Timestamp,
) -> rusqlite::Result<Result<(u32, i64), Duration>> {
    let sql = "SELECT failures, forget_at FROM address_failures WHERE address = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(u32, i64)> = transaction.prepare_cached(sql)?.query_row([address], read).optional()?;
    let open =
        found.and_then(|(failures, ends)| Some((failures, ends, until(ends, now.timestamp_micros())?)));
    Ok(match open {
        Some((failures, _, left)) if failures >= ADDRESS_FAILURES => Err(left),
        Some((failures, ends, _)) => Ok((failures, ends)),
        None => Ok((0, micros(now, ADDRESS_WINDOW))),
    })
}

/// Forgets what has had its time, and now and then what is too much.
fn sweep(transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let now = now.timestamp_micros();
    for (table, key) in [("account_failures", "account"), ("address_failures", "address")] {
        let old = format!(
            "DELETE FROM {table} WHERE {key} IN \
             (SELECT {key} FROM {table} WHERE forget_at <= ?1 ORDER BY forget_at LIMIT ?2)"
        );
        transaction.prepare_cached(&old)?.execute(params![now, SWEEP])?;
        if now % COUNT_EVERY == 0 {
            let surplus = format!(
                "DELETE FROM {table} WHERE {key} IN \
                 (SELECT {key} FROM {table} ORDER BY forget_at DESC LIMIT -1 OFFSET ?1)"
            );
            transaction.prepare_cached(&surplus)?.execute([FAILURE_ROWS])?;
        }
    }
    Ok(())
}

#[async_trait]
impl LoginLimiter for SqliteLoginLimiter {
    /// An attempt that has to wait is not counted, so waiting ends for those who go on trying too.
    async fn attempt(
        &self,
        account: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Result<(), Duration>, IdentityError> {
        let (account, address) = (key(account), address.map(counted));
        let work = move |transaction: &Transaction<'_>| {
            let failures = match account_wait(transaction, account, now)? {
                Ok(failures) => failures.saturating_add(1),
                Err(wait) => return Ok(Err(wait)),
            };
            if let Some(address) = address {
                let (failures, ends) = match address_wait(transaction, &address, now)? {
                    Ok((failures, ends)) => (failures + 1, ends),
                    Err(wait) => return Ok(Err(wait)),
                };
                let sql = "REPLACE INTO address_failures (address, failures, forget_at) VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![address, failures, ends])?;
            }
            let sql = "REPLACE INTO account_failures (account, failures, wait_until, forget_at) \
                VALUES (?1, ?2, ?3, ?4)";
            let (wait_until, forget_at) = (micros(now, wait_after(failures)), micros(now, ACCOUNT_MEMORY));
            transaction.prepare_cached(sql)?.execute(params![account, failures, wait_until, forget_at])?;
            sweep(transaction, now)?;
            Ok(Ok(()))
        };
        self.0.write(work).await
    }

    /// Of the address, only this attempt is taken back: one right password of many tries does not clear the others.
    async fn succeeded(&self, account: &str, address: Option<IpAddr>) -> Result<(), IdentityError> {
        let (account, address) = (key(account), address.map(counted));
        let work = move |transaction: &Transaction<'_>| {
            transaction
                .prepare_cached("DELETE FROM account_failures WHERE account = ?1")?
                .execute([account])?;
            if let Some(address) = address {
                let sql = "UPDATE address_failures SET failures = max(failures - 1, 0) WHERE address = ?1";
                transaction.prepare_cached(sql)?.execute([address])?;
            }
            Ok(())
        };
        self.0.write(work).await
    }
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
