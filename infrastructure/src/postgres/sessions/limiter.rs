//! [`LoginLimiter`] on PostgreSQL: a guesser that goes from node to node gains nothing.

use super::{PostgresSessions, later};
use crate::{
    random::hash,
    sessions::{
        SWEEP,
        limits::{
            ACCOUNT_MEMORY, ADDRESS_FAILURES, ADDRESS_WINDOW, COUNT_EVERY, FAILURE_ROWS, counted, key,
            wait_after,
        },
    },
};
use async_trait::async_trait;
use futures_util::FutureExt;
use sqlx::{Connection, PgConnection, query, query_as};
use std::{net::IpAddr, time::Duration};
use verbatim_application::ports::{IdentityError, LoginLimiter};
use verbatim_domain::Timestamp;

/// Limits that all nodes share; made by [`PostgresSessions::limiter`].
#[derive(Clone)]
pub struct PostgresLoginLimiter(PostgresSessions);

impl PostgresLoginLimiter {
    pub(super) fn new(tables: PostgresSessions) -> Self {
        Self(tables)
    }
}

const OF_ACCOUNT: &str =
    "SELECT failures, wait_until FROM account_failures WHERE account = $1 AND forget_at > $2";
const OF_ADDRESS: &str =
    "SELECT failures, forget_at FROM address_failures WHERE address = $1 AND forget_at > $2";
const COUNT_ACCOUNT: &str = "INSERT INTO account_failures (account, failures, wait_until, forget_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT (account) DO UPDATE
    SET failures = excluded.failures, wait_until = excluded.wait_until, forget_at = excluded.forget_at";
const COUNT_ADDRESS: &str = "INSERT INTO address_failures (address, failures, forget_at)
    VALUES ($1, $2, $3) ON CONFLICT (address) DO UPDATE
    SET failures = excluded.failures, forget_at = excluded.forget_at";
const CLEAR_ACCOUNT: &str = "DELETE FROM account_failures WHERE account = $1";
const TAKE_BACK: &str = "UPDATE address_failures SET failures = greatest(failures - 1, 0) WHERE address = $1";
/// A few rows that have had their time. Those that another node is busy with are left to it, here and below: two that
/// delete the same rows could wait for each other.
const SWEEP_OLD: [&str; 2] = [
    "DELETE FROM account_failures WHERE account IN (SELECT account FROM account_failures
        WHERE forget_at <= $1 ORDER BY forget_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM address_failures WHERE address IN (SELECT address FROM address_failures
        WHERE forget_at <= $1 ORDER BY forget_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
];
/// The rows beyond those that are kept.
const SWEEP_SURPLUS: [&str; 2] = [
    "DELETE FROM account_failures WHERE account IN (SELECT account FROM account_failures WHERE account IN
        (SELECT account FROM account_failures ORDER BY forget_at DESC OFFSET $1) FOR UPDATE SKIP LOCKED)",
    "DELETE FROM address_failures WHERE address IN (SELECT address FROM address_failures WHERE address IN
        (SELECT address FROM address_failures ORDER BY forget_at DESC OFFSET $1) FOR UPDATE SKIP LOCKED)",
];

/// Whoever counts for one account or address waits for whoever else does. By advisory locks, because there may be no row
/// yet; always the account first, so that nobody waits in a circle.
async fn lock(tables: &mut PgConnection, account: &[u8], address: Option<&str>) -> sqlx::Result<()> {
    let number = |text: &[u8]| {
        let [a, b, c, d, e, f, g, h, ..] = hash(text);
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    };
    let locks = [Some(number(account)), address.map(|address| number(address.as_bytes()))];
    for lock in locks.into_iter().flatten() {
        query("SELECT pg_advisory_xact_lock($1)").bind(lock).execute(&mut *tables).await?;
    }
    Ok(())
}

fn until(then: Timestamp, now: Timestamp) -> Option<Duration> {
    (then - now).to_std().ok().filter(|wait| !wait.is_zero())
}

/// Failures of an account, unless it has to wait.
async fn account_failures(
    tables: &mut PgConnection,
    account: &[u8],
    now: Timestamp,
) -> sqlx::Result<Result<u32, Duration>> {
    let found: Option<(i64, Timestamp)> =
        query_as(OF_ACCOUNT).bind(account).bind(now).fetch_optional(tables).await?;
    Ok(match found {
        Some((failures, wait_until)) => match until(wait_until, now) {
            Some(wait) => Err(wait),
            None => Ok(u32::try_from(failures).unwrap_or(u32::MAX)),
        },
        None => Ok(0),
    })
}

/// Failures of an address in its window, and when that ends, unless it has to wait for that.
async fn address_failures(
    tables: &mut PgConnection,
    address: &str,
    now: Timestamp,
) -> sqlx::Result<Result<(i64, Timestamp), Duration>> {
    let found: Option<(i64, Timestamp)> =
        query_as(OF_ADDRESS).bind(address).bind(now).fetch_optional(tables).await?;
    Ok(match found {
        Some((failures, ends)) if failures >= i64::from(ADDRESS_FAILURES) => {
            Err(until(ends, now).unwrap_or_default())
        }
        Some(open) => Ok(open),
        None => Ok((0, later(now, ADDRESS_WINDOW))),
    })
}

async fn attempt(
    tables: &mut PgConnection,
    account: &[u8],
    address: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<Result<(), Duration>> {
    lock(tables, account, address).await?;
    let failures = match account_failures(tables, account, now).await? {
        Ok(failures) => failures.saturating_add(1),
        Err(wait) => return Ok(Err(wait)),
    };
    if let Some(address) = address {
        let (failures, ends) = match address_failures(tables, address, now).await? {
            Ok((failures, ends)) => (failures + 1, ends),
            Err(wait) => return Ok(Err(wait)),
        };
        query(COUNT_ADDRESS).bind(address).bind(failures).bind(ends).execute(&mut *tables).await?;
    }
    let (wait_until, forget_at) = (later(now, wait_after(failures)), later(now, ACCOUNT_MEMORY));
    let count = query(COUNT_ACCOUNT).bind(account).bind(i64::from(failures)).bind(wait_until).bind(forget_at);
    count.execute(&mut *tables).await?;
    for sql in SWEEP_OLD {
        query(sql).bind(now).bind(i64::from(SWEEP)).execute(&mut *tables).await?;
    }
    if now.timestamp_micros() % COUNT_EVERY == 0 {
        for sql in SWEEP_SURPLUS {
            query(sql).bind(i64::from(FAILURE_ROWS)).execute(&mut *tables).await?;
        }
    }
    Ok(Ok(()))
}

#[async_trait]
impl LoginLimiter for PostgresLoginLimiter {
    /// An attempt that has to wait is not counted, so waiting ends for those who go on trying too.
    async fn attempt(
        &self,
        account: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Result<(), Duration>, IdentityError> {
        let (account, address) = (key(account), address.map(counted));
        let work = self.0.call(|tables| {
            async move {
                let mut transaction = tables.begin().await?;
                let leave = attempt(&mut transaction, &account, address.as_deref(), now).await?;
                transaction.commit().await?;
                Ok(leave)
            }
            .boxed()
        });
        work.await
    }

    /// Of the address, only this attempt is taken back: one right password of many tries does not clear the others.
    async fn succeeded(&self, account: &str, address: Option<IpAddr>) -> Result<(), IdentityError> {
        let (account, address) = (key(account), address.map(counted));
        let work = self.0.call(|tables| {
            async move {
                let mut transaction = tables.begin().await?;
                lock(&mut transaction, &account, address.as_deref()).await?;
                query(CLEAR_ACCOUNT).bind(account).execute(&mut *transaction).await?;
                if let Some(address) = address {
                    query(TAKE_BACK).bind(address).execute(&mut *transaction).await?;
                }
                transaction.commit().await
            }
            .boxed()
        });
        work.await
    }
}
