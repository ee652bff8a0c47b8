//! Whom the limit on guessing counts: clients, not what they claim to be.

use crate::kit::{Api, start, start_with};

/// More wrong log-ins than any one address gets away with.
const GUESSES: usize = 400;

/// Guesses at ever other accounts, claiming to come from ever other addresses, until the address is limited.
async fn guesses_until_limited(api: &Api, forwarded: impl Fn(usize) -> String) -> Option<usize> {
    for number in 0..GUESSES {
        let call = api.log_in(&format!("nobody{number}@example.org"), "guess");
        let answer = call.header("X-Forwarded-For", forwarded(number)).send().await;
        match answer.status {
            401 => drop(answer.problem(401, "wrong_credentials")),
            _ => {
                answer.problem(429, "too_many_attempts");
                return Some(number);
            }
        }
    }
    None
}

fn other_address(number: usize) -> String {
    format!("203.0.{}.{}", number / 256, number % 256)
}

#[tokio::test]
async fn nobody_is_believed_by_default() {
    let (_server, api) = start().await;
    let limited = guesses_until_limited(&api, other_address).await;
    assert!(limited.is_some(), "{GUESSES} guesses from one address, and no end");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let (_server, api) = start_with(&[("VERBATIM_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]).await;
    let ada = api.user("Ada").await;
    let guesser = |_: usize| "198.51.100.1".to_owned();
    let limited = guesses_until_limited(&api, guesser).await;
    let first = limited.expect("one address guesses without end");
    // Its neighbours behind the same proxy are not hit.
    for number in 0..5 {
        let call = api.log_in(&ada.email, &ada.password).header("X-Forwarded-For", other_address(number));
        call.ok(200).await;
    }
    // What the client wrote itself, before the proxy added to it, is not believed.
    let dodging = |number: usize| format!("{}, 198.51.100.2", other_address(number));
    let limited = guesses_until_limited(&api, dodging).await;
    assert!(limited.is_some_and(|number| number <= first + 5), "dodged the limit: {limited:?}, {first}");
}
