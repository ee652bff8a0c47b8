//! Logging in and out, refresh tokens, tickets, passwords.

use crate::common::{Node, World, identity::FAILURES_MAX, within};
use std::sync::atomic::Ordering;
use verbatim_application::{
    Caller, Context, ErrorClass,
    commands::{ProfileChange, Registration, TokenPair},
    ports::AccessClaims,
};
use verbatim_domain::{
    member::MemberRole,
    text::{DisplayName, Email, Password},
};

const RIGHT: &str = "correct horse";

async fn with_ann() -> (World, Node) {
    let (world, node) = World::with_node();
    let request = Registration {
        email: Email::parse("Ann@example.org").expect("an address"),
        password: Password::parse(RIGHT).expect("a password"),
        display_name: DisplayName::parse("Ann").expect("a name"),
    };
    within(node.app.register(request, Context::default())).await.expect("it is registered");
    world.identity.asked();
    (world, node)
}

async fn log_in(
    node: &Node,
    email: &str,
    password: &str,
) -> Result<TokenPair, (ErrorClass, &'static str, String)> {
    let result = within(node.app.log_in(email, password, None)).await;
    result.map_err(|error| (error.class, error.code, error.to_string()))
}

#[tokio::test]
async fn logging_in_gives_a_token_for_oneself() {
    let (world, node) = with_ann().await;
    let pair = log_in(&node, " ann@EXAMPLE.org ", RIGHT).await.expect("it is right");
    assert_eq!(pair.expires_in, 900);
    assert_eq!(world.identity.asked(), ["attempt ann@example.org", "verify", "succeeded ann@example.org"]);
    let claims = node.app.authenticate(&pair.access_token).expect("it is valid");
    let account = within(node.app.account(claims.member_id)).await.expect("it is hers");
    assert_eq!((account.email.as_str(), claims.role), ("Ann@example.org", MemberRole::Member));
    assert_eq!(node.app.authenticate("forged").expect_err("it is forged").code, "invalid_token");
    let shown = format!("{pair:?}");
    assert!(!shown.contains(&pair.access_token) && !shown.contains(&pair.refresh_token));
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    let (world, node) = with_ann().await;
    let wrong = log_in(&node, "ann@example.org", "battery staple").await.expect_err("it is wrong");
    let asked_when_wrong = world.identity.asked();
    let answers = [
        log_in(&node, "eve@example.org", RIGHT).await,
        log_in(&node, "not an address", RIGHT).await,
        // No account can have these passwords.
        log_in(&node, "ann@example.org", "short").await,
        log_in(&node, "eve@example.org", &"long".repeat(1_000)).await,
    ];
    for answer in answers {
        assert_eq!(answer.expect_err("it is wrong"), wrong);
    }
    assert_eq!((wrong.0, wrong.1), (ErrorClass::Unauthenticated, "wrong_credentials"));
    let asked = world.identity.asked();
    assert_eq!(asked_when_wrong, ["attempt ann@example.org", "verify"]);
    assert_eq!(
        asked,
        [
            "attempt eve@example.org",
            "verify",
            "attempt not an address",
            "verify",
            "attempt ann@example.org",
            "verify",
            "attempt eve@example.org",
            "verify",
        ],
        "each takes as long as the other: one attempt, one verification"
    );
}

#[tokio::test]
async fn an_account_without_password_cannot_be_logged_in_to() {
    let (_world, node) = World::with_node();
    let email = Email::parse("author@example.org").expect("an address");
    let name = DisplayName::parse("Author").expect("a name");
    within(node.app.register_author(email, name, Context::default())).await.expect("it is registered");
    let answer = log_in(&node, "author@example.org", "no account can have this").await;
    assert_eq!(answer.expect_err("it has none").1, "wrong_credentials");
}

#[tokio::test]
async fn who_guesses_too_often_waits_before_any_hashing() {
    let (world, node) = with_ann().await;
    for _ in 0..FAILURES_MAX {
        log_in(&node, "ann@example.org", "battery staple").await.expect_err("it is wrong");
    }
    world.identity.asked();
    let error = within(node.app.log_in("ANN@example.org", RIGHT, None)).await.expect_err("too often");
    assert_eq!((error.class, error.code), (ErrorClass::Limited, "too_many_attempts"));
    assert!(error.retry_after.is_some());
    assert_eq!(world.identity.asked(), ["attempt ann@example.org"], "no hash was reckoned");
}

#[tokio::test]
async fn when_too_many_hash_logging_in_says_so() {
    let (world, node) = with_ann().await;
    world.identity.hasher_busy.store(true, Ordering::SeqCst);
    assert_eq!(log_in(&node, "ann@example.org", RIGHT).await.expect_err("busy").0, ErrorClass::Overloaded);
}

#[tokio::test]
async fn refreshing_rotates_and_a_used_token_ends_the_session() {
    let (_world, node) = with_ann().await;
    let first = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    let second = within(node.app.refresh(&first.refresh_token)).await.expect("it is current");
    assert_ne!(first.refresh_token, second.refresh_token);
    node.app.authenticate(&second.access_token).expect("it is valid");
    // Somebody shows the first one again: it was copied.
    let reused = within(node.app.refresh(&first.refresh_token)).await.expect_err("it is used");
    let ended = within(node.app.refresh(&second.refresh_token)).await.expect_err("the session is over");
    let forged = within(node.app.refresh("forged")).await.expect_err("it is forged");
    for error in [reused, ended, forged] {
        assert_eq!((error.class, error.code), (ErrorClass::Unauthenticated, "invalid_refresh_token"));
    }
}

#[tokio::test]
async fn a_refresh_is_not_lost_when_the_log_cannot_be_read() {
    let (world, node) = with_ann().await;
    within(node.app.change_role("ann@example.org", MemberRole::Admin)).await.expect("it is given");
    let first = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    world.log.unreadable(true);
    // The old token is used up by now: without an answer, a retry with it would look like theft.
    let second = within(node.app.refresh(&first.refresh_token)).await.expect("it is current");
    let claims = node.app.authenticate(&second.access_token).expect("it is valid");
    assert_eq!(claims.role, MemberRole::Member, "what can't be looked up is not granted");
    world.log.unreadable(false);
    let third = within(node.app.refresh(&second.refresh_token)).await.expect("it is current");
    assert_eq!(node.app.authenticate(&third.access_token).expect("it is valid").role, MemberRole::Admin);
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let (_world, node) = with_ann().await;
    let pair = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    within(node.app.log_out(&pair.refresh_token)).await.expect("it is over");
    within(node.app.log_out(&pair.refresh_token)).await.expect("it is over already");
    within(node.app.refresh(&pair.refresh_token)).await.expect_err("it is over");
}

#[tokio::test]
async fn a_ticket_is_good_once() {
    let (_world, node) = with_ann().await;
    let pair = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    let claims: AccessClaims = node.app.authenticate(&pair.access_token).expect("it is valid");
    let ticket = within(node.app.issue_ticket(claims.clone())).await.expect("it is issued").ticket;
    assert_eq!(within(node.app.redeem_ticket(&ticket)).await.expect("it is good"), claims);
    let again = within(node.app.redeem_ticket(&ticket)).await;
    assert_eq!(again.expect_err("it is used").code, "invalid_ticket");
}

#[tokio::test]
async fn changing_the_password_needs_the_old_one_and_ends_other_sessions() {
    let (world, node) = with_ann().await;
    let here = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    let caller = Caller::from(&node.app.authenticate(&here.access_token).expect("it is valid"));
    let change = |current: &str| ProfileChange {
        password: Some((current.to_owned(), Password::parse("battery staple").expect("a password"))),
        display_name: Some(DisplayName::parse("Anna").expect("a name")),
    };
    let events = world.log.events().len();
    let wrong = within(node.app.change_profile(caller, change("wrong horse"), Context::default())).await;
    let wrong = wrong.expect_err("it is wrong");
    assert_eq!((wrong.class, wrong.code), (ErrorClass::Forbidden, "wrong_password"));
    assert_eq!(world.log.events().len(), events, "nothing is changed");
    assert_eq!(world.identity.open_sessions(caller.member_id), 2);
    let appends = world.log.appends().len();
    let done = within(node.app.change_profile(caller, change(RIGHT), Context::default())).await;
    let done = done.expect("it is changed");
    assert_eq!(world.log.appends()[appends..], [2], "both or none");
    assert_eq!(done.position, world.log.events().len() as u64);
    assert_eq!(done.value.display_name, "Anna");
    assert_eq!(world.identity.open_sessions(caller.member_id), 1, "one's own stays");
    log_in(&node, "ann@example.org", RIGHT).await.expect_err("it was changed");
    log_in(&node, "ann@example.org", "battery staple").await.expect("it is right now");
}

#[tokio::test]
async fn guessing_the_old_password_is_limited_too() {
    let (world, node) = with_ann().await;
    let here = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    let caller = Caller::from(&node.app.authenticate(&here.access_token).expect("it is valid"));
    let change = |current: &str| ProfileChange {
        password: Some((current.to_owned(), Password::parse("battery staple").expect("a password"))),
        display_name: None,
    };
    for _ in 0..FAILURES_MAX {
        let wrong = within(node.app.change_profile(caller, change("wrong horse"), Context::default())).await;
        assert_eq!(wrong.expect_err("it is wrong").code, "wrong_password");
    }
    world.identity.asked();
    let limited = within(node.app.change_profile(caller, change(RIGHT), Context::default())).await;
    assert_eq!(limited.expect_err("too often").code, "too_many_attempts");
    assert_eq!(world.identity.asked(), ["attempt ann@example.org"]);
}

#[tokio::test]
async fn only_admins_are_admins() {
    let (_world, node) = with_ann().await;
    let pair = log_in(&node, "ann@example.org", RIGHT).await.expect("it is right");
    let caller = Caller::from(&node.app.authenticate(&pair.access_token).expect("it is valid"));
    assert_eq!(caller.admin().expect_err("she is not").code, "not_an_admin");
    Caller { role: MemberRole::Admin, ..caller }.admin().expect("she is");
    let nobody = within(node.app.change_role("eve@example.org", MemberRole::Admin)).await;
    assert_eq!(nobody.expect_err("nobody").code, "member_not_found");
}
