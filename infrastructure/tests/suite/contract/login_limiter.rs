//! The contract of [`LoginLimiter`]: a fixture is one that has seen nothing, and what it lives in.

use chrono::{DateTime, TimeDelta};
use futures_util::future::join_all;
use std::{any::Any, net::IpAddr, sync::Arc, time::Duration};
use verbatim_application::ports::LoginLimiter;
use verbatim_domain::Timestamp;

/// A limiter, and what must live as long.
pub type Fixture = (Arc<dyn LoginLimiter>, Box<dyn Any + Send + Sync>);

/// Makes a test of each case.
macro_rules! login_limiter_contract {
    ($fixture:expr) => {
        $crate::contract::contract!(login_limiter, $fixture;
            five_failures_are_free_and_then_waits_double
            no_wait_is_longer_than_a_quarter_of_an_hour
            the_right_password_clears_the_account
            parallel_guesses_do_not_slip_through
            an_address_has_fifty_failures_in_a_quarter_of_an_hour
            right_passwords_cost_an_address_nothing
            accounts_and_addresses_are_told_apart
            a_day_later_all_is_forgotten
        );
    };
}
pub(crate) use login_limiter_contract;

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn address(n: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, n]))
}

async fn attempt(
    limiter: &dyn LoginLimiter,
    account: &str,
    from: Option<IpAddr>,
    now: Timestamp,
) -> Result<(), Duration> {
    limiter.attempt(account, from, now).await.unwrap()
}

/// Fails so often, with as long a pause before each as it takes; gives the time then and the wait that is left.
async fn fail(limiter: &dyn LoginLimiter, account: &str, times: u32) -> (Timestamp, Duration) {
    let mut now = at(0);
    for _ in 0..times {
        if let Err(wait) = attempt(limiter, account, None, now).await {
            now += wait;
            attempt(limiter, account, None, now).await.expect("the wait is over");
        }
    }
    let wait = attempt(limiter, account, None, now).await.expect_err("there are so many");
    (now, wait)
}

pub async fn five_failures_are_free_and_then_waits_double((limiter, _keep): Fixture) {
    for _ in 0..5 {
        attempt(&*limiter, "a", None, at(0)).await.unwrap();
    }
    let mut now = at(0);
    for expected in [1, 2, 4, 8, 16, 32] {
        let wait = attempt(&*limiter, "a", None, now).await.unwrap_err();
        assert_eq!(wait, Duration::from_secs(expected));
        let just_before = now + wait - TimeDelta::microseconds(1);
        assert_eq!(attempt(&*limiter, "a", None, just_before).await, Err(Duration::from_micros(1)));
        now += wait;
        attempt(&*limiter, "a", None, now).await.unwrap();
    }
}

pub async fn no_wait_is_longer_than_a_quarter_of_an_hour((limiter, _keep): Fixture) {
    let (_, wait) = fail(&*limiter, "a", 40).await;
    assert_eq!(wait, Duration::from_secs(900));
}

pub async fn the_right_password_clears_the_account((limiter, _keep): Fixture) {
    let (now, wait) = fail(&*limiter, "a", 8).await;
    attempt(&*limiter, "a", None, now + wait).await.unwrap();
    limiter.succeeded("a", None).await.unwrap();
    for _ in 0..5 {
        attempt(&*limiter, "a", None, now + wait).await.unwrap();
    }
    assert_eq!(attempt(&*limiter, "a", None, now + wait).await, Err(Duration::from_secs(1)));
    // Success of an account that nobody knows is nothing.
    limiter.succeeded("nobody", address(1)).await.unwrap();
}

pub async fn parallel_guesses_do_not_slip_through((limiter, _keep): Fixture) {
    let guesses = (0..40).map(|_| limiter.attempt("a", address(1), at(0)));
    let passed = join_all(guesses).await.into_iter().filter(|leave| leave.as_ref().unwrap().is_ok()).count();
    assert_eq!(passed, 5);
}

pub async fn an_address_has_fifty_failures_in_a_quarter_of_an_hour((limiter, _keep): Fixture) {
    for n in 0..50 {
        attempt(&*limiter, &format!("account {n}"), address(1), at(n)).await.unwrap();
    }
    let wait = attempt(&*limiter, "another", address(1), at(60)).await.unwrap_err();
    assert_eq!(wait, Duration::from_secs(840), "the window began with the first failure");
    attempt(&*limiter, "another", address(2), at(60)).await.unwrap();
    attempt(&*limiter, "another", None, at(60)).await.unwrap();
    attempt(&*limiter, "another", address(1), at(900)).await.unwrap();
}

pub async fn right_passwords_cost_an_address_nothing((limiter, _keep): Fixture) {
    for n in 0..200 {
        let account = format!("account {n}");
        attempt(&*limiter, &account, address(1), at(0)).await.unwrap();
        limiter.succeeded(&account, address(1)).await.unwrap();
    }
}

pub async fn accounts_and_addresses_are_told_apart((limiter, _keep): Fixture) {
    let (now, _) = fail(&*limiter, "a", 8).await;
    attempt(&*limiter, "b", None, now).await.unwrap();
    attempt(&*limiter, "A", None, now).await.unwrap();
    attempt(&*limiter, "a'; DROP TABLE account_failures; --", address(1), now).await.unwrap();
    attempt(&*limiter, &"long".repeat(10_000), address(1), now).await.unwrap();
    assert!(attempt(&*limiter, "a", address(3), now).await.is_err(), "from whichever address");
}

pub async fn a_day_later_all_is_forgotten((limiter, _keep): Fixture) {
    let (now, _) = fail(&*limiter, "a", 30).await;
    let later = now + TimeDelta::days(1);
    for _ in 0..5 {
        attempt(&*limiter, "a", None, later).await.unwrap();
    }
    assert_eq!(attempt(&*limiter, "a", None, later).await, Err(Duration::from_secs(1)));
}
