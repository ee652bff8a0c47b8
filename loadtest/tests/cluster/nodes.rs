//! Two nodes are one service.

use crate::kit::{LIMIT, PASSWORD, Person, api, ask, call, key, next, next_message, start, subscribe, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use verbatim_loadtest::http::SeqPage;
use verbatim_loadtest::stomp::{Connection, Frame};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_takes_the_other_pushes_and_reads() {
    let cluster = start(2).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let (ann, bob) = (Person::at(one).await, Person::at(two).await);
    let room = ann.opens_room(one).await;
    api(two).join(&bob.token, room).await.unwrap();
    let mut listener = bob.listens(two, room).await;
    let mut counts = Connection::open_as(&two.launch.ws(), &bob.token, LIMIT).await.unwrap();
    let frame = Frame::new("SUBSCRIBE").with("id", "u").with("destination", "/user/queue/unread");
    counts.send(&frame).await.unwrap();
    let mut stream = api(two).my_events(&bob.token).await.unwrap();
    assert_eq!(stream.next(LIMIT).await.unwrap().name, "connected");

    for number in 1..=20_u64 {
        let sender = if number % 2 == 0 { (&ann, one) } else { (&bob, two) };
        let sent = sender.0.sends(sender.1, room, &format!("message {number}")).await;
        assert_eq!(sent.seq, number, "numbers go on across nodes");
        let pushed = next_message(&mut listener).await;
        assert_eq!((pushed["seq"].as_u64(), pushed["body"].as_str()), (Some(number), sent.body.as_deref()));
    }
    let mut told = next(&mut counts).await;
    while told["last_seq"] != 20 {
        told = next(&mut counts).await;
    }
    assert_eq!(told["unread"], 1, "Bob wrote the message before it");

    // Read your writes at the other node, right away.
    let answer =
        call(one, Method::POST, &format!("/rooms/{room}/messages"), Some(&ann.token), json!({"body": "now"}))
            .await;
    let position = answer.position.unwrap();
    let page = api(two).history(&bob.token, room, SeqPage::Newest, 1, position).await.unwrap();
    assert_eq!(page.items[0].body.as_deref(), Some("now"));
    let rooms = api(two).my_rooms(&bob.token, None, position).await.unwrap();
    assert_eq!(rooms.items[0].unread, 2);

    // Typing is nobody's event, and crosses nodes all the same.
    let _ = next(&mut listener).await;
    let mut typist = Connection::open_as(&one.launch.ws(), &ann.token, LIMIT).await.unwrap();
    typist.send(&Frame::new("SEND").with("destination", format!("/publish/{room}/typing"))).await.unwrap();
    let pushed = next(&mut listener).await;
    assert_eq!(
        (pushed["type"].as_str(), pushed["member_id"].as_str()),
        (Some("typing"), Some(&*ann.id.to_string()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_and_going_at_one_node_is_felt_at_the_other() {
    let cluster = start(2).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let (ann, bob) = (Person::at(one).await, Person::at(one).await);
    let room = ann.opens_room(one).await;
    let mut stream = api(two).my_events(&bob.token).await.unwrap();
    assert_eq!(stream.next(LIMIT).await.unwrap().name, "connected");
    api(one).add(&ann.token, room, bob.id).await.unwrap();
    assert_eq!(
        stream.next(LIMIT).await.unwrap().name,
        "room_joined",
        "told without having listened to the room"
    );
    let unread = stream.next(LIMIT).await.unwrap();
    assert_eq!(unread.name, "unread", "{unread:?}");
    ann.sends(one, room, "welcome").await;
    let unread: Value = serde_json::from_str(&stream.next(LIMIT).await.unwrap().data).unwrap();
    assert_eq!(unread["unread"], 1);

    let mut listener = bob.listens(two, room).await;
    let path = format!("/rooms/{room}/members/{}", bob.id);
    let removed = call(one, Method::DELETE, &path, Some(&ann.token), Value::Null).await;
    assert!(removed.status.is_success(), "{removed:?}");
    assert_eq!(next(&mut listener).await["type"], "member_left");
    ann.sends(one, room, "he is gone").await;
    while stream.next(LIMIT).await.unwrap().name != "room_left" {}
    // The other node may trust what it remembers of the room for a second.
    let path = format!("/rooms/{room}/messages");
    until("history that is refused", LIMIT, async || {
        let answer = call(two, Method::GET, &path, Some(&bob.token), Value::Null).await;
        (answer.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_once_in_the_whole_cluster() {
    let cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    let apis = [api(&cluster.nodes[0]), api(&cluster.nodes[1])];
    for number in 0..10 {
        let key = format!("key-{number}");
        // At the same time, at both.
        let (one, two) = tokio::join!(
            apis[0].send(&ann.token, room, &key, "once"),
            apis[1].send(&ann.token, room, &key, "once")
        );
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.seq, one.message_id), (two.seq, two.message_id));
        assert_eq!(one.seq, number + 1);
    }
    let clash = apis[1].send(&ann.token, room, "key-0", "something else").await;
    assert!(clash.is_err_and(|error| error.to_string().contains("409")));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_tickets_and_limits_are_shared() {
    let cluster = start(2).await;
    let [one, two] = &cluster.nodes[..] else { panic!("two nodes") };
    let ann = Person::at(one).await;
    let refresh = async |node, token: &str| {
        call(node, Method::POST, "/auth/refresh", None, json!({"refresh_token": token})).await
    };
    let next_pair = refresh(two, &ann.refresh_token).await;
    assert_eq!(next_pair.status, StatusCode::OK, "{next_pair:?}");
    let newer = next_pair.body["refresh_token"].as_str().unwrap().to_owned();
    let reused = refresh(one, &ann.refresh_token).await;
    assert_eq!(reused.status, StatusCode::UNAUTHORIZED, "a used token is known at every node");
    let revoked = refresh(two, &newer).await;
    assert_eq!(revoked.status, StatusCode::UNAUTHORIZED, "and has ended its family everywhere");

    let ticket = call(one, Method::POST, "/auth/ticket", Some(&ann.token), Value::Null).await;
    let ticket = ticket.body["ticket"].as_str().unwrap().to_owned();
    let opened = ask_stream(&two.launch.base(), &ticket).await;
    assert_eq!(opened, StatusCode::OK);
    assert_eq!(ask_stream(&one.launch.base(), &ticket).await, StatusCode::UNAUTHORIZED, "one use");

    let mut limited = None;
    for number in 0..40 {
        let node = if number % 2 == 0 { one } else { two };
        let body = json!({"email": ann.email, "password": "a wrong password"});
        let answer = call(node, Method::POST, "/auth/login", None, body).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            limited = Some(number);
            break;
        }
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    }
    assert!(limited.is_some(), "guessing is limited");
    for node in [one, two] {
        let body = json!({"email": ann.email, "password": PASSWORD});
        let answer = call(node, Method::POST, "/auth/login", None, body).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "at every node");
        assert!(answer.retry_after.is_some());
    }
}

async fn ask_stream(base: &str, ticket: &str) -> StatusCode {
    let client = reqwest::Client::builder().connect_timeout(LIMIT).build().unwrap();
    let url = format!("{base}/api/v1/me/events?ticket={ticket}");
    tokio::time::timeout(LIMIT, client.get(url).send()).await.unwrap().unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_passes_on_what_it_should() {
    let cluster = start(2).await;
    let front = cluster.front();
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    // A WebSocket and an event stream through it, unbuffered: each event comes before the next is sent.
    let mut listener = Connection::open_as(&front.ws(), &ann.token, LIMIT).await.unwrap();
    subscribe(&mut listener, &format!("/topic/{room}")).await;
    let api = verbatim_loadtest::http::Api::new(&front.base(), LIMIT).unwrap();
    let mut stream = api.room_events(&ann.token, room, Some(0)).await.unwrap();
    for number in 1..=10 {
        let body = format!("through nginx {number}");
        assert_eq!(api.send(&ann.token, room, &key(&body), &body).await.unwrap().seq, number);
        assert_eq!(next_message(&mut listener).await["seq"], number);
        assert_eq!(stream.next(Duration::from_secs(10)).await.unwrap().id, number.to_string());
    }
    // The client's address is what limits count, not nginx's: X-Forwarded-For is passed on and believed.
    let metrics = reqwest::get(format!("{}/metrics", front.base())).await.unwrap();
    assert_eq!(metrics.status(), StatusCode::NOT_FOUND, "not for the world");
    let large = "x".repeat(2 << 20);
    let answer = ask(
        &front.base(),
        Method::POST,
        &format!("/rooms/{room}/messages"),
        Some(&ann.token),
        json!({"body": large}),
    )
    .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_in_one_hot_room_number_without_gaps() {
    let cluster = start(2).await;
    let ann = Person::at(&cluster.nodes[0]).await;
    let room = ann.opens_room(&cluster.nodes[0]).await;
    let mut sends = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let (api, token) = (api(&cluster.nodes[writer % 2]), ann.token.clone());
        sends.spawn(async move {
            let mut numbers = Vec::new();
            for count in 0..25 {
                let key = format!("{writer}-{count}");
                let sent =
                    until("a send", LIMIT, async || api.send(&token, room, &key, &key).await.ok()).await;
                assert!(numbers.last().is_none_or(|last| *last < sent.seq), "one writer's order is kept");
                numbers.push(sent.seq);
            }
            numbers
        });
    }
    let mut numbers: Vec<u64> = sends.join_all().await.into_iter().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=400).collect::<Vec<u64>>());
}
