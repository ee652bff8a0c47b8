//! [`LoginLimiter`] on SQLite, so that a restart does not forget who was guessing.

use super::{
    SWEEP, SqliteSessions,
    limits::{
        ACCOUNT_MEMORY, ADDRESS_FAILURES, ADDRESS_WINDOW, COUNT_EVERY, FAILURE_ROWS, counted, key, wait_after,
    },
    micros,
};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use std::{net::IpAddr, time::Duration};
use verbatim_application::ports::{IdentityError, LoginLimiter};
use verbatim_domain::Timestamp;

/// Limits in an SQLite file; made by [`SqliteSessions::limiter`].
#[derive(Clone)]
pub struct SqliteLoginLimiter(SqliteSessions);

impl SqliteLoginLimiter {
    pub(super) fn new(file: SqliteSessions) -> Self {
        Self(file)
    }
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
