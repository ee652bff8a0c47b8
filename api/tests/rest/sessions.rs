//! Log in, refresh, log out, and what ends a session.

use crate::kit::{Answer, Api, restart, start};
use serde_json::json;
use std::time::Duration;

/// An access token lives for minutes, so a session that ended is known by its refresh token.
async fn is_over(api: &Api, refresh: &str) {
    api.refresh(refresh).problem(401, "invalid_refresh_token").await;
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_get_one_answer() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let sentence =
        |answer: &Answer| (answer["detail"].clone(), answer["title"].clone(), answer.headers.len());
    let wrong = api.log_in(&ada.email, "not this one").problem(401, "wrong_credentials").await;
    for (email, password) in [
        ("nobody@example.org", "not this one"),
        ("no address at all", "not this one"),
        (&*ada.email, "x"),
        (&*ada.email, ""),
        (&*ada.email, "correct horse battery "),
    ] {
        let answer = api.log_in(email, password).send().await;
        if password.is_empty() {
            answer.problem(400, "invalid_request");
            continue;
        }
        let answer = answer.problem(401, "wrong_credentials");
        assert_eq!(sentence(&answer), sentence(&wrong), "{email}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let other = api.log_in(&ada.email, &ada.password).ok(200).await;

    let second = api.refresh(&ada.refresh).ok(200).await;
    assert_ne!(second["refresh_token"], ada.refresh);
    api.get("/members/me").bearer(second.str("access_token")).ok(200).await;
    let third = api.refresh(second.str("refresh_token")).ok(200).await;

    // Somebody has a copy of an old one: nobody can tell who is the thief, so the whole family ends.
    is_over(&api, &ada.refresh).await;
    is_over(&api, third.str("refresh_token")).await;
    is_over(&api, second.str("refresh_token")).await;
    // Another session of the same member goes on.
    api.refresh(other.str("refresh_token")).ok(200).await;
}

#[tokio::test]
async fn of_many_refreshes_with_one_token_at_once_at_most_one_succeeds() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let attempts: Vec<_> = (0..16).map(|_| tokio::spawn(api.refresh(&ada.refresh).send())).collect();
    let mut pairs = Vec::new();
    for attempt in attempts {
        let answer = attempt.await.unwrap();
        if answer.status == 200 {
            pairs.push(answer);
        } else {
            answer.problem(401, "invalid_refresh_token");
        }
    }
    assert_eq!(pairs.len(), 1);
    // The others were reuse.
    is_over(&api, pairs[0].str("refresh_token")).await;
}

#[tokio::test]
async fn no_refresh_token_is_made_up() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let changed = |place: usize| {
        let mut bytes = ada.refresh.clone().into_bytes();
        bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
        String::from_utf8(bytes).unwrap()
    };
    for token in ["x", "00000000-0000-0000-0000-000000000000", "%00", "' OR 1=1 --", &ada.token] {
        // An access token may be longer than any refresh token.
        let answer = api.refresh(token).send().await;
        assert!(matches!(answer.status, 400 | 401), "{answer}");
    }
    is_over(&api, &changed(8)).await;
    is_over(&api, &ada.refresh.to_uppercase()).await;
    let missing = api.post("/auth/refresh", json!({})).problem(400, "invalid_request").await;
    assert_eq!(missing.wrong_fields(), ["refresh_token"]);
    // None of this has cost the real one anything.
    let pair = api.refresh(&ada.refresh).ok(200).await;
    // One that begins as a real one does can only come from a copy of it.
    is_over(&api, &changed(ada.refresh.len() - 3)).await;
    is_over(&api, pair.str("refresh_token")).await;
}

#[tokio::test]
async fn a_log_out_ends_one_session() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let other = api.log_in(&ada.email, &ada.password).ok(200).await;
    let log_out = |token: &str| api.post("/auth/logout", json!({ "refresh_token": token }));
    log_out(&ada.refresh).ok(204).await;
    is_over(&api, &ada.refresh).await;
    log_out(&ada.refresh).ok(204).await;
    log_out("never issued").ok(204).await;
    api.refresh(other.str("refresh_token")).ok(200).await;
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let others = [
        api.log_in(&ada.email, &ada.password).ok(200).await,
        api.log_in(&ada.email, &ada.password).ok(200).await,
    ];
    let body = json!({ "current_password": ada.password, "new_password": "a better one" });
    ada.patch("/members/me", body).ok(200).await;
    for other in &others {
        is_over(&api, other.str("refresh_token")).await;
    }
    api.refresh(&ada.refresh).ok(200).await;
    api.log_in(&ada.email, &ada.password).problem(401, "wrong_credentials").await;
    api.log_in(&ada.email, "a better one").ok(200).await;
}

/// How many wrong log-ins an account gets away with, at most: what a guesser may hope for.
const GUESSES_MAX: usize = 20;

async fn guess_until_limited(api: &Api, email: &str) -> Duration {
    for number in 0..=GUESSES_MAX {
        let answer = api.log_in(email, &format!("guess {number}")).send().await;
        if answer.status == 429 {
            let answer = answer.problem(429, "too_many_attempts");
            return Duration::from_secs(answer.header("Retry-After").unwrap().parse().unwrap());
        }
        answer.problem(401, "wrong_credentials");
    }
    panic!("{GUESSES_MAX} wrong passwords for {email}, and no end");
}

#[tokio::test]
async fn guessing_at_an_account_is_limited() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    let grace = api.user("Grace").await;
    // The right password does not get through, or guessing would go on; nor does another spelling of the address.
    for email in [ada.email.clone(), ada.email.to_uppercase()] {
        let mut got_through = 0;
        loop {
            let wait = guess_until_limited(&api, &email).await;
            assert!(wait <= Duration::from_secs(3600), "{wait:?}: anybody could lock anybody out");
            let answer = api.log_in(&email, &ada.password).send().await;
            if answer.status != 200 {
                answer.problem(429, "too_many_attempts");
                break;
            }
            // The first wait is a second, and may be over on a machine as busy as this one; not each time.
            got_through += 1;
            assert!(got_through < 4, "{email}: the right password is not limited");
        }
    }
    // Nobody else is hit by that, and who is logged in stays so.
    api.log_in(&grace.email, &grace.password).ok(200).await;
    api.refresh(&ada.refresh).ok(200).await;
    ada.get("/members/me").ok(200).await;
    // The same for an address without account: else the limit would tell which exist.
    guess_until_limited(&api, "nobody@example.org").await;
}

#[tokio::test]
async fn right_passwords_are_not_limited() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    for _ in 0..GUESSES_MAX + 5 {
        api.log_in(&ada.email, &ada.password).ok(200).await;
    }
}

#[tokio::test]
async fn guessing_with_a_stolen_access_token_is_limited_too() {
    let (_server, api) = start().await;
    let ada = api.user("Ada").await;
    for number in 0..=GUESSES_MAX {
        let body = json!({ "current_password": format!("guess {number}"), "new_password": "mine, all mine" });
        let answer = ada.patch("/members/me", body).send().await;
        if answer.status == 429 {
            answer.problem(429, "too_many_attempts");
            return;
        }
        answer.problem(403, "wrong_password");
    }
    panic!("{GUESSES_MAX} wrong passwords, and no end");
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let (mut server, api) = start().await;
    let ada = api.user("Ada").await;
    let api = restart(&mut server).await;
    api.get("/members/me").by(&ada).ok(200).await;
    let pair = api.refresh(&ada.refresh).ok(200).await;
    api.get("/members/me").bearer(pair.str("access_token")).ok(200).await;
    is_over(&api, &ada.refresh).await;
}
