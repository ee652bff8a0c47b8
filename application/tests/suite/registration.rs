//! One address, one account: on any number of nodes, whoever asks at once.

use crate::common::{World, member, within, world::one_shard};
use futures_util::future::join_all;
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};
use verbatim_application::{
    Context, ErrorClass,
    bus::Limits,
    codec::{Event, Streamed},
    commands::Registration,
};
use verbatim_domain::{
    EmailId,
    email::EmailEvent,
    member::MemberEvent,
    text::{DisplayName, Email, Password},
};

fn request(email: &str, name: &str) -> Registration {
    Registration {
        email: Email::parse(email).expect("an address"),
        password: Password::parse("correct horse").expect("a password"),
        display_name: DisplayName::parse(name).expect("a name"),
    }
}

/// Members that have an account, with the owners of addresses; checks that they are the same.
fn accounts(world: &World) -> HashSet<verbatim_domain::MemberId> {
    world.log.check();
    let (mut registered, mut owners) = (HashSet::new(), HashSet::new());
    for event in world.log.events() {
        match Event::decode(&event).expect("it decodes") {
            Event::Member(MemberEvent::MemberRegistered { member_id, .. }) => {
                assert!(registered.insert(member_id));
            }
            Event::Email(EmailEvent::EmailClaimed { member_id, .. }) => assert!(owners.insert(member_id)),
            _ => {}
        }
    }
    assert_eq!(registered, owners, "no account without its address, no address without its account");
    registered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_at_once_on_two_nodes_one_wins() {
    let world = World::new();
    let nodes = [Arc::new(world.node(Limits::default())), Arc::new(world.node(one_shard()))];
    let tries = (0..50).map(|n| {
        let node = nodes[n % 2].clone();
        // An address is the same in any case.
        let email = if n % 3 == 0 { "Ann@Example.org" } else { "ann@example.org" };
        tokio::spawn(async move {
            within(node.app.register(request(email, &format!("Ann {n}")), Context::default())).await
        })
    });
    let mut won = Vec::new();
    for answer in within(join_all(tries)).await {
        match answer.expect("it ran") {
            Ok(done) => won.push(done.value),
            Err(error) => assert_eq!((error.class, error.code), (ErrorClass::Conflict, "email_taken")),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(accounts(&world), HashSet::from([won[0].member_id]));
    assert_eq!(world.log.events().len(), 2);
    let id = EmailId::of("ann@example.org");
    for node in nodes {
        assert_eq!(within(node.app.bus.email_owner(id)).await.expect("it is read"), Some(won[0].member_id));
    }
}

#[tokio::test]
async fn of_two_in_one_batch_the_first_wins() {
    let (world, node) = World::with_node();
    let author = |name: &str| {
        let request = request("ann@example.org", name);
        node.app.register_author(request.email, request.display_name, Context::default())
    };
    let (one, other) = tokio::join!(biased; within(author("Ann")), within(author("Eve")));
    assert_eq!(one.expect("it is free").value.display_name, "Ann");
    assert_eq!(other.expect_err("it is taken").code, "email_taken");
    assert_eq!(accounts(&world).len(), 1);
}

#[tokio::test]
async fn a_taken_address_is_refused_before_the_hashing() {
    let (world, node) = World::with_node();
    let first = within(node.app.register(request("ann@example.org", "Ann"), Context::default())).await;
    first.expect("it is free");
    assert_eq!(world.identity.asked(), ["hash"]);
    let again = within(node.app.register(request("ANN@example.org", "Eve"), Context::default())).await;
    assert_eq!(again.expect_err("it is taken").code, "email_taken");
    assert_eq!(world.identity.asked(), [] as [&str; 0]);
}

#[tokio::test]
async fn when_too_many_hash_it_says_so() {
    let (world, node) = World::with_node();
    world.identity.hasher_busy.store(true, Ordering::SeqCst);
    let answer = within(node.app.register(request("ann@example.org", "Ann"), Context::default())).await;
    assert_eq!(answer.expect_err("too many").class, ErrorClass::Overloaded);
    assert!(world.log.events().is_empty());
}

#[tokio::test]
async fn the_account_is_there_at_once_and_what_is_not_is_not() {
    let (world, node) = World::with_node();
    let done = within(node.app.register(request("Ann@example.org", "Ann"), Context::default())).await;
    let done = done.expect("it is free");
    assert_eq!(done.position, 1);
    assert_eq!(within(node.app.account(done.value.member_id)).await.expect("it is there"), done.value);
    assert_eq!(done.value.email, "Ann@example.org", "as typed");
    let nobody = within(node.app.account(member(404))).await;
    assert_eq!(nobody.expect_err("nobody").code, "member_not_found");
    let secret = world.log.stream(done.value.member_id.stream());
    assert!(!format!("{secret:?}").contains("correct horse"), "not even a fake hash is shown by Debug");
}
